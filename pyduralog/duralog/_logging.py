# SPDX-License-Identifier: MIT
"""DuraLogHandler: records of the standard library's logging, as structured records of a log.

A record is a dict that `duralog cat` knows by `"duralog": "logging"`. Its other keys bear the names
of LogRecord's attributes:

    created, levelname, levelno, name, message      always
    pathname, lineno, funcName, process,            always
    processName, thread, threadName
    taskName                                        where an asyncio task has one
    exc_text, stack_info                            where there is an exception, a stack
    extra                                           a dict of what the caller gave as `extra`

Knows DuraLog and logging. Changes with what is kept of a LogRecord; tools/duralog/log_line.c reads
the same keys.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from math import isfinite
from typing import Any

from ._arguments import Level, Path, number
from ._errors import DuraLogError
from ._log import DuraLog

DEPTH_MAX = 10  # of what a caller gave as `extra`; what lies deeper is kept as its repr
NESTED_MAX = 10  # of records that come up while another one is made, in a __str__ for example
DIGITS_MAX = 4000  # of an int; Python itself refuses to write much longer ones

ATTRIBUTES = (
    *("created", "levelname", "levelno", "name", "pathname", "lineno", "funcName"),
    *("process", "processName", "thread", "threadName"),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_formatter = logging.Formatter()
_in_this_thread = threading.local()


class DuraLogHandler(logging.Handler):
    """Appends what is logged to a log, from every thread and process that has this handler.

        logging.basicConfig(handlers=[DuraLogHandler("app.log")], level="INFO")

    `path`
        The log's directory, with DuraLog's options as keywords; or an open DuraLog, which the
        handler uses and does not close. A path is opened at once, which blocks as opening a
        DuraLog does.
    `level`
        As for every handler.
    `timeout`
        How many seconds a call may wait: for room where the ring is full, and for the device where
        `durable_level` asks for it. None: for ever; 0: not at all.
    `durable_level`
        Records of this level and above are durable when the logging call returns, if the time is
        enough. None: no record is waited for; all are committed, so they survive a crash of the
        process at the next instruction.

    A record for which there was no room in time is dropped, and logging's handleError says so on
    stderr unless logging.raiseExceptions is False. Drops are counted; as soon as there is room
    again, a record of the logger "duralog" says how many there were. A record that is in the log
    and was not durable in time is no drop, but handleError is told.

    Threads do not wait for each other: this handler takes no lock while it appends. Values in
    `extra` that JSON cannot hold are kept as their repr, tuples and sets as lists. A formatter is
    asked for the text of exceptions and stacks only. After a fork the handler works on in the
    child. flush() syncs.
    """

    def __init__(
        self,
        path: Path | DuraLog,
        level: int | str = logging.NOTSET,
        timeout: float | None = 1.0,
        durable_level: int | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(level)
        if timeout is not None:
            number("timeout", timeout)
        self._timeout = timeout
        self._durable_level = float("inf")
        if durable_level is not None:
            self._durable_level = logging.Handler(durable_level).level
        self._dropped = 0
        self._dropped_by = 0  # which process; a child does not report its parent's
        self._owned = not isinstance(path, DuraLog)
        if isinstance(path, DuraLog):
            if options:
                raise TypeError("options are for a path; this log is open already")
            self._log = path
        else:
            self._log = DuraLog(path, **options)

    # ---- One record ----------------------------------------------------------------------------

    def handle(self, record: logging.LogRecord) -> bool:
        """As every handler's, but without its lock, which would add up what threads wait."""
        passed: Any = self.filter(record)
        if isinstance(passed, logging.LogRecord):  # a filter may replace it, since Python 3.12
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Appends the record. Blocks as long as the handler's `timeout` says. Raises nothing."""
        depth = getattr(_in_this_thread, "depth", 0)
        if depth >= NESTED_MAX:  # a record whose making logs, and so on
            self._count_drop()
            return
        _in_this_thread.depth = depth + 1
        try:
            self._report_drops()
            self._append(self._fields(record), record.levelno, self._timeout)
        except Exception as error:
            if not getattr(error, "appended", 0):
                self._count_drop()
            self.handleError(record)
        finally:
            _in_this_thread.depth = depth

    def _append(self, fields: dict[str, Any], levelno: int, timeout: float | None) -> None:
        level: Level = "durable" if levelno >= self._durable_level else "committed"
        try:
            self._log.append(fields, level=level, timeout=timeout)
        except TypeError:
            self._log.append(_plain(fields, DEPTH_MAX), level=level, timeout=timeout)

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        attributes = vars(record)
        fields: dict[str, Any] = {"duralog": "logging"}
        for name in ATTRIBUTES:
            fields[name] = attributes[name]
        fields["message"] = record.getMessage()
        if attributes.get("taskName") is not None:
            fields["taskName"] = attributes["taskName"]
        formatter = self.formatter or _formatter
        if record.exc_text or record.exc_info:
            fields["exc_text"] = record.exc_text or _exception_text(formatter, record.exc_info)
        if record.stack_info:
            fields["stack_info"] = formatter.formatStack(record.stack_info)
        extra = {name: value for name, value in attributes.items() if name not in _STANDARD}
        if extra:
            fields["extra"] = extra
        return fields

    # ---- Drops ---------------------------------------------------------------------------------

    def _count_drop(self) -> None:
        self.acquire()
        try:
            if self._dropped_by != os.getpid():
                self._dropped, self._dropped_by = 0, os.getpid()
            self._dropped += 1
        finally:
            self.release()

    def _report_drops(self) -> None:
        """If there were any and there is room for saying so. Waits for nothing."""
        if self._dropped == 0 or self._dropped_by != os.getpid():
            return
        self.acquire()
        dropped, self._dropped = self._dropped, 0
        self.release()
        if dropped == 0:
            return
        message = "%d records were dropped: the log could not take them in time"
        record = logging.LogRecord("duralog", logging.WARNING, "", 0, message, (dropped,), None)
        vars(record)["dropped"] = dropped
        try:
            self._log.append(self._fields(record), timeout=0)
        except DuraLogError:
            self.acquire()
            self._dropped += dropped
            self.release()

    # ---- The handler ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Returns once all that was logged before is durable. Blocks as long as the handler's
        `timeout` says, and raises what DuraLog.sync does."""
        self._report_drops()
        if self._log._is_served():
            self._log.sync(self._timeout)

    def close(self) -> None:
        """Syncs and detaches, if the handler has opened the log itself; what is logged from then on
        fails as what finds no room does. logging calls it when the interpreter ends."""
        super().close()
        try:
            self._report_drops()
        finally:
            if self._owned:
                self._log.close(self._timeout)

    def __repr__(self) -> str:
        level = logging.getLevelName(self.level)
        return f"<{type(self).__name__} {self._log.path} ({level})>"


def _exception_text(formatter: logging.Formatter, given: Any) -> str:
    """`exc_info` as a logging call takes it: a tuple, an exception, or True."""
    if isinstance(given, BaseException):
        given = type(given), given, given.__traceback__
    elif not isinstance(given, tuple):
        given = sys.exc_info()
    return formatter.formatException(given)


# ---- What JSON cannot hold -----------------------------------------------------------------------


def _plain(value: Any, depth: int) -> Any:
    """The value, as similar as a record can be."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _utf8(value)
    if isinstance(value, int) and value.bit_length() < DIGITS_MAX * 3:
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if depth > 0 and isinstance(value, dict):
        return {
            _utf8(key) if isinstance(key, str) else _repr(key): _plain(item, depth - 1)
            for key, item in value.items()
        }
    if depth > 0 and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth - 1) for item in value]
    return _repr(value)


def _repr(value: Any) -> str:
    try:
        return _utf8(repr(value))
    except Exception:  # whatever a __repr__ may raise; what was logged matters more
        return f"<unprintable {type(value).__qualname__}>"


def _utf8(text: str) -> str:
    """With lone surrogates escaped, which UTF-8 cannot hold."""
    return str.encode(text, "utf-8", "backslashreplace").decode()
