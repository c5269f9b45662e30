# SPDX-License-Identifier: MIT
"""DuraLogHandler: what is kept of a log record, from whom, and how long that may take.

Knows the public package and the keys that _logging documents."""

from __future__ import annotations

import contextlib
import logging
import logging.config
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog
from conftest import COMMAND, ROOT, stop
from duralog import (
    DuraLog,
    DuraLogClosedError,
    DuraLogConfigurationError,
    DuraLogHandler,
    DuraLogTimeoutError,
)
from test_processes import in_child, succeeded


@contextlib.contextmanager
def logging_to(handler: DuraLogHandler) -> Iterator[logging.Logger]:
    logger = logging.Logger("app.web")
    logger.addHandler(handler)
    yield logger
    handler.close()


@pytest.fixture
def logger(log: DuraLog) -> Iterator[logging.Logger]:
    with logging_to(DuraLogHandler(log, timeout=60)) as logger:
        yield logger


def logged(path: Path | str) -> list[dict[str, Any]]:
    with DuraLog(path) as log:
        records = list(log.replay())
    assert all(record["duralog"] == "logging" for record in records)
    return records


def messages(path: Path | str) -> list[str]:
    return [record["message"] for record in logged(path) if "message" in record]


# ---- What is kept --------------------------------------------------------------------------------


def test_a_record_has_the_usual_attributes(logger: logging.Logger, path: Path) -> None:
    before = time.time()
    logger.warning("%s is %d", "it", 1, extra={"user": 7, "tags": ["a", None, 1.5]})
    (record,) = logged(path)
    assert before <= record.pop("created") <= time.time()
    assert record.pop("lineno") > 0
    assert record == {
        "duralog": "logging",
        "levelname": "WARNING",
        "levelno": 30,
        "name": "app.web",
        "message": "it is 1",
        "pathname": __file__,
        "funcName": "test_a_record_has_the_usual_attributes",
        "process": os.getpid(),
        "processName": "MainProcess",
        "thread": threading.get_ident(),
        "threadName": "MainThread",
        "extra": {"user": 7, "tags": ["a", None, 1.5]},
    }


def test_without_extra_there_is_no_extra(logger: logging.Logger, path: Path) -> None:
    logger.info("x")
    assert not {"extra", "exc_text", "stack_info"} & set(logged(path)[0])


def test_exceptions_and_stacks_are_kept_as_text(logger: logging.Logger, path: Path) -> None:
    try:
        raise LookupError("gone")
    except LookupError as error:
        logger.exception("failed")
        logger.error("given", exc_info=error)
    logger.info("here", stack_info=True)
    failed, given, here = logged(path)
    for record in (failed, given):
        assert record["exc_text"].startswith("Traceback (most recent call last):\n")
        assert record["exc_text"].endswith("LookupError: gone")
    assert "test_exceptions_and_stacks_are_kept_as_text" in here["stack_info"]
    assert "exc_text" not in here


def test_a_formatter_has_a_say_in_exceptions_only(log: DuraLog, path: Path) -> None:
    class Terse(logging.Formatter):
        def formatException(self, ei: Any) -> str:
            return f"<{ei[1]}>"

    handler = DuraLogHandler(log)
    handler.setFormatter(Terse("unused: %(message)s"))
    with logging_to(handler) as logger:
        logger.error("failed", exc_info=LookupError("gone"))
    (record,) = logged(path)
    assert (record["message"], record["exc_text"]) == ("failed", "<gone>")


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


class Color(Enum):
    RED = 1


def test_what_json_cannot_hold_is_kept_as_its_repr(logger: logging.Logger, path: Path) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    extra = {
        "object": Color.RED,
        "unprintable": Unprintable(),
        "tuple": (1, ("a", b"b")),
        "set": {1},
        "nan": float("nan"),
        "keys": {1: "one", ("t",): 2, "\udc80": "\udc80"},
        "int": 10**5000,
        "cycle": cycle,
        "fine": {"n": 1, "f": 1.5, "none": None, "true": True, "large": 1 << 70},
    }
    logger.info("\ud800", extra=extra)
    (record,) = logged(path)
    kept = record["extra"]
    assert record["message"] == "\\ud800"
    assert "[...]" in str(kept.pop("cycle"))
    assert kept == {
        "object": repr(Color.RED),
        "unprintable": "<unprintable Unprintable>",
        "tuple": [1, ["a", "b'b'"]],
        "set": [1],
        "nan": "nan",
        "keys": {"1": "one", "('t',)": 2, "\\udc80": "\\udc80"},
        "int": "<unprintable int>",
        "fine": extra["fine"],
    }


def test_a_message_that_cannot_be_made_is_told_on_stderr(
    logger: logging.Logger, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.info("%d", "no number")
    assert "TypeError" in capsys.readouterr().err
    logger.info("next")
    dropped, following = logged(path)
    assert (dropped["extra"], following["message"]) == ({"dropped": 1}, "next")


def test_a_value_that_logs_when_it_is_printed_ends(log: DuraLog, path: Path) -> None:
    class Chatty:
        def __str__(self) -> str:
            logger.info("about to print %s", self)
            return "chatty"

    with logging_to(DuraLogHandler(log)) as logger:
        logger.info("%s", Chatty())
        logger.info("next")
    kept = messages(path)
    assert "chatty" in kept
    assert kept[-1] == "next"
    assert len(kept) < 50


def test_filters_are_asked(log: DuraLog, path: Path) -> None:
    handler = DuraLogHandler(log, level="INFO")
    handler.addFilter(lambda record: "secret" not in record.msg)
    with logging_to(handler) as logger:
        for text in ("a", "secret", "b"):
            logger.info(text)
        logger.debug("too low")
    assert messages(path) == ["a", "b"]


def test_the_command_line_prints_lines(logger: logging.Logger, path: Path) -> None:
    logger.warning("slow", extra={"seconds": 1.5})
    try:
        raise LookupError("gone")
    except LookupError:
        logger.exception("failed")
    logger.handlers[0].flush()
    shown = subprocess.run([COMMAND, "cat", path], check=True, capture_output=True, text=True)
    first, second, *traceback = shown.stdout.splitlines()
    assert first.endswith('WARNING app.web: slow {"seconds":1.5}')
    assert second.endswith("ERROR app.web: failed")
    assert traceback[0] == "    Traceback (most recent call last):"
    assert traceback[-1] == "    LookupError: gone"


# ---- From whom -----------------------------------------------------------------------------------


CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {
        "log": {
            "class": "duralog.DuraLogHandler",
            "level": "INFO",
            "formatter": "plain",
            "timeout": 60,
            "durable_level": "ERROR",
            "ring_bytes": 1 << 20,
        }
    },
    "loggers": {"configured": {"handlers": ["log"], "level": "DEBUG", "propagate": False}},
}


def configure(path: Path) -> DuraLogHandler:
    CONFIGURATION["handlers"]["log"]["path"] = str(path)
    logging.config.dictConfig(CONFIGURATION)
    (handler,) = logging.getLogger("configured").handlers
    assert isinstance(handler, DuraLogHandler)
    return handler


def close_configured(handler: DuraLogHandler) -> None:
    logging.getLogger("configured").removeHandler(handler)
    handler.close()


def test_dictconfig_makes_one(path: Path) -> None:
    handler = configure(path)
    logger = logging.getLogger("configured")
    logger.debug("too low")
    logger.info("a")
    logger.error("b")
    with DuraLog(path) as log:
        assert log.durable_lsn == log.committed_lsn  # since an error is waited for
    close_configured(handler)
    assert messages(path) == ["a", "b"]


def log_some(path: Path, who: int) -> None:
    handler = configure(path)
    for number in range(200):
        logging.getLogger("configured").info("%d %d", who, number)
    close_configured(handler)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_process_logs_in_its_order(path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=log_some, args=(path, who)) for who in range(4)]
    for process in processes:
        process.start()
    log_some(path, 4)
    for process in processes:
        process.join()
    kept = [tuple(map(int, message.split())) for message in messages(path)]
    for who in range(5):
        assert [number for w, number in kept if w == who] == list(range(200))


def test_a_handler_works_on_in_forked_children(logger: logging.Logger, path: Path) -> None:
    def child() -> None:
        for _ in range(100):
            logger.info("child")

    ended = threading.Event()

    def thread() -> None:
        while not ended.is_set():
            logger.info("thread")

    threads = [threading.Thread(target=thread) for _ in range(3)]
    for each in threads:
        each.start()
    try:
        children = [in_child(child) for _ in range(5)]
        assert all(succeeded(each) for each in children)
    finally:
        ended.set()
        for each in threads:
            each.join()
    assert messages(path).count("child") == 500


def test_an_interpreter_that_ends_has_all_durable(path: Path) -> None:
    script = """
import logging, sys
from duralog import DuraLogHandler
logging.basicConfig(handlers=[DuraLogHandler(sys.argv[1], timeout=60)], level="INFO")
for number in range(1000):
    logging.info("%d", number)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    done = subprocess.run(
        [sys.executable, "-c", script, path], env=environment, capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    with DuraLog(path, flusher=False) as log:
        assert len(list(log.replay())) == 1000


# ---- How long it takes ---------------------------------------------------------------------------


def fill(logger: logging.Logger, log: DuraLog) -> None:
    """Logs until there is no room for any record at all. One is dropped."""
    handler = logger.handlers[0]
    assert isinstance(handler, DuraLogHandler)
    with contextlib.suppress(DuraLogTimeoutError):
        while True:
            log.append({"duralog": "logging"}, timeout=0)
    logger.info("x" * 1000)
    assert handler._dropped == 1


@pytest.fixture
def full(idle: DuraLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """A logger whose log is full."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with logging_to(DuraLogHandler(idle, timeout=0)) as logger:
        fill(logger, idle)
        yield logger


def test_drops_are_counted_and_reported_once_there_is_room(
    full: logging.Logger, idle: DuraLog, path: Path
) -> None:
    for _ in range(9):
        full.info("y" * 1000)
    DuraLog(path).close()  # a flusher serves the log now
    idle.sync(timeout=120)
    full.info("room again")
    full.info("and again")
    *_, report, again, last = logged(path)
    assert report["message"].startswith("10 records were dropped")
    assert (report["name"], report["levelname"]) == ("duralog", "WARNING")
    assert report["extra"] == {"dropped": 10}
    assert [again["message"], last["message"]] == ["room again", "and again"]


def test_a_flush_reports_them_as_well(full: logging.Logger, idle: DuraLog, path: Path) -> None:
    DuraLog(path).close()
    idle.sync(timeout=120)
    full.handlers[0]._timeout = 120  # type: ignore[attr-defined]
    full.handlers[0].flush()
    assert logged(path)[-1]["extra"] == {"dropped": 1}


def test_a_child_does_not_report_its_parent_s_drops(
    full: logging.Logger, idle: DuraLog, path: Path
) -> None:
    DuraLog(path).close()
    idle.sync(timeout=120)
    assert succeeded(in_child(lambda: full.info("child")))
    full.info("parent")
    child, report, parent = logged(path)[-3:]
    assert (child["message"], report["extra"]) == ("child", {"dropped": 1})
    assert parent["message"] == "parent"


def test_stderr_is_told_of_a_drop_unless_it_should_not(
    idle: DuraLog, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(DuraLogHandler(idle, timeout=0)) as logger:
        fill(logger, idle)
        assert "no room" in capsys.readouterr().err


def test_threads_do_not_wait_for_each_other(
    log: DuraLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are within an append at the same time."""
    appending = threading.Barrier(8)

    def append(*arguments: Any, **options: Any) -> int:
        appending.wait(timeout=120)
        return DuraLog.append(log, *arguments, **options)

    monkeypatch.setattr(log, "append", append)
    with logging_to(DuraLogHandler(log)) as logger:
        threads = [threading.Thread(target=logger.info, args=("x",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert messages(path) == ["x"] * 8


def test_a_record_that_was_not_durable_in_time_is_no_drop(
    idle: DuraLog, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(DuraLogHandler(idle, timeout=0.01, durable_level="ERROR")) as logger:
        logger.error("late")
        assert "gave up after" in capsys.readouterr().err
        logger.info("not waited for")
        assert capsys.readouterr().err == ""
    assert messages(path) == ["late", "not waited for"]


def test_a_log_that_was_stopped_costs_records_and_no_time(
    log: DuraLog, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(DuraLogHandler(log)) as logger:
        logger.info("before")
        stop(path)
        logger.info("lost")
        assert "told to stop" in capsys.readouterr().err
        DuraLog(path).close()
        logger.info("after")
    before, report, after = logged(path)
    assert [before["message"], after["message"]] == ["before", "after"]
    assert report["extra"] == {"dropped": 1}


# ---- The handler ---------------------------------------------------------------------------------


def test_closing_leaves_a_log_open_that_was_given(log: DuraLog) -> None:
    DuraLogHandler(log).close()
    log.append("still open")


def test_closing_closes_what_the_handler_opened(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = DuraLogHandler(path)
    with logging_to(handler) as logger:
        logger.info("x")
    with pytest.raises(DuraLogClosedError):
        handler.flush()
    logger.info("too late")
    assert "this handle is closed" in capsys.readouterr().err
    assert messages(path) == ["x"]


def test_bad_arguments_are_refused(log: DuraLog, path: Path) -> None:
    with pytest.raises(DuraLogConfigurationError):
        DuraLogHandler(log, timeout=-1)
    with pytest.raises(TypeError):
        DuraLogHandler(log, timeout="soon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="LOUD"):
        DuraLogHandler(log, durable_level="LOUD")
    with pytest.raises(TypeError):
        DuraLogHandler(log, create=True)
    assert repr(DuraLogHandler(log, "ERROR")) == f"<DuraLogHandler {path} (ERROR)>"


# ---- structlog -----------------------------------------------------------------------------------


def test_the_structlog_processor_of_the_readme(path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    blocks = (part.split("```")[0] for part in text.split("```python\n"))
    code = next(block for block in blocks if "import structlog" in block)
    names: dict[str, Any] = {}
    exec(code.replace('"app.log"', repr(str(path))), names)
    try:
        logger = structlog.get_logger()
        logger.warning("slow", seconds=1.5, where={"a", "b"})
        try:
            raise LookupError("gone")
        except LookupError:
            logger.exception("failed", user=7)
    finally:
        structlog.reset_defaults()
        names["handler"].close()
    slow, failed = logged(path)
    assert (slow["levelname"], slow["message"]) == ("WARNING", "slow")
    assert slow["extra"]["seconds"] == 1.5
    assert sorted(slow["extra"]["where"]) == ["a", "b"]
    assert (failed["levelname"], failed["levelno"], failed["extra"]) == ("ERROR", 40, {"user": 7})
    assert failed["exc_text"].endswith("LookupError: gone")
