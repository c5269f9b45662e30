# SPDX-License-Identifier: MIT
"""AsyncDuraLog: DuraLog for coroutines.

What cannot block is called in the event loop's thread: an append that finds room. What waits is
handed to the process's waiting thread (_waiting). What reads files, or may take long once, runs in
the loop's executor.

Knows DuraLog and its modules, _waiting. Changes with what a handle can do.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Literal, TypeVar, overload

from . import _reading
from ._arguments import LEVELS, Deadline, Level, Path, integer, level_number
from ._codec import Record
from ._errors import DuraLogError, DuraLogTimeoutError
from ._log import DuraLog
from ._waiting import Inbox, watch, watermark

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")

APPEND_RECORDS = 1024  # between two looks at what else the loop has to do
READ_RECORDS = 1024  # a visit to the executor
LOOK_AGAIN_S = 0.001


class AsyncDuraLog:
    """A log for the coroutines of a process. Methods and arguments are those of DuraLog.

        log = AsyncDuraLog("app.log")
        lsn = await log.append({"event": "login"}, level="durable")

    `log`
        The log's directory, with the options of DuraLog behind it; or a DuraLog that is open, which
        is then shared: closing either closes both.

    To open blocks the caller as opening a DuraLog does, some tens of milliseconds when a flusher is
    started; so do it before the loop runs, or with `await asyncio.to_thread(AsyncDuraLog, path)`.

    All coroutines of all event loops wait for all logs by means of one thread, a daemon that ends
    when nothing was waited for some seconds. It makes no difference to it how many they are. A log
    whose device hangs holds up no other one. Nothing here blocks the event loop.

    A wait that is cancelled, or whose loop ends, leaves nothing behind; what was appended stays
    appended. May be used by several event loops at once, each in its thread, and works on in a
    forked child, in a new event loop. Pickles as a DuraLog does.
    """

    def __init__(self, log: DuraLog | Path, **options: Any) -> None:
        if isinstance(log, DuraLog):
            if options:
                raise TypeError("options are for a path; this log is open already")
            self._log = log
        else:
            self._log = DuraLog(log, **options)

    # ---- Appending -----------------------------------------------------------------------------

    async def append(
        self, record: Record, *, level: Level = "committed", timeout: float | None = None
    ) -> int:
        """Appends one record and returns the LSN just past it.

        Committed, it never suspends the coroutine unless the ring is full. With `level="durable"`
        it returns once the device has the record. `timeout`, in seconds, limits all waiting.

        Cancelled while it waits for room, nothing is appended; cancelled while it waits for the
        level, the record is in the log. Raises what DuraLog.append raises.
        """
        deadline = Deadline(timeout)
        self._check_level(level)
        lsn = await self._when_room(partial(self._log.append, record, timeout=0), deadline)
        await self._reach(lsn, level, deadline, appended=1)
        return lsn

    async def append_many(
        self,
        records: Iterable[Record],
        *,
        level: Level = "committed",
        timeout: float | None = None,
    ) -> int:
        """Appends all records of an iterable, in their order, and returns the last one's LSN.

        Lets other coroutines run after every 1024 records, so theirs may come between. Else as
        DuraLog.append_many, also in what it raises. Cancelled, the first ones are in the log.
        """
        deadline = Deadline(timeout)
        self._check_level(level)
        iterator = _checked(records)
        lsn, appended = self._log.append_many([]), 0
        while True:
            part, error = _take(iterator, APPEND_RECORDS)
            lsn = await self._append_part(part, lsn, appended, deadline)
            appended += len(part)
            if error is not None:
                raise error
            if len(part) < APPEND_RECORDS:
                break
            await asyncio.sleep(0)
        await self._reach(lsn, level, deadline, appended)
        return lsn

    async def _append_part(
        self, part: list[Record], lsn: int, before: int, deadline: Deadline
    ) -> int:
        done = 0

        def attempt() -> int:
            nonlocal done
            try:
                return self._log.append_many(part[done:], timeout=0)
            except DuraLogTimeoutError as error:
                done += error.appended
                raise

        try:
            return await self._when_room(attempt, deadline) if part else lsn
        except DuraLogError as error:
            if not isinstance(error, DuraLogTimeoutError):
                done += error.appended
            error.appended = before + done
            raise
        except TypeError as error:
            if before + done == 0:
                raise
            raise TypeError(f"counted from record {before + done}: {error}") from None

    async def _when_room(self, attempt: Callable[[], _T], deadline: Deadline) -> _T:
        """The result of an attempt that does not wait. Room comes as the durable LSN moves."""
        while True:
            durable = self._log.durable_lsn
            try:
                return attempt()
            except DuraLogTimeoutError as error:
                if deadline.over():
                    if deadline.timeout:
                        error.strerror = f"gave up after {deadline.timeout:g} s; {error.strerror}"
                    raise
            if durable < self._log._reserved_lsn():
                with contextlib.suppress(DuraLogTimeoutError):
                    await self._reach(durable + 1, "durable", deadline)
            else:  # all is durable, and the flusher is about to say that there is room
                await asyncio.sleep(LOOK_AGAIN_S)

    # ---- Waiting -------------------------------------------------------------------------------

    async def wait(self, lsn: int, timeout: float | None = None, level: Level = "durable") -> None:
        """Returns once all that ends at or before `lsn` has reached the level, whoever appended it.

        Any number of coroutines may wait at once. DuraLogTimeoutError after `timeout` seconds; also
        what DuraLog.wait raises: a flusher that is told to stop, a device that fails, and a handle
        that is closed reach every coroutine that waits.
        """
        self._check_level(level)
        await self._reach(integer("lsn", lsn, 0), level, Deadline(timeout))

    async def sync(self, timeout: float | None = None) -> None:
        """Returns once all that any process has appended before this call is durable. Raises as
        `wait` does."""
        await self._reach(self._log._reserved_lsn(), "durable", Deadline(timeout))

    async def _reach(self, lsn: int, level: Level, deadline: Deadline, appended: int = 0) -> None:
        """Has the thread wait, unless there is nothing to wait for. One frame for all of it, and no
        exception on the way: ten thousand of them are kept at once."""
        if (appended and level == "committed") or lsn <= watermark(self._log, level):
            return
        if deadline.over() or lsn > self._log._reserved_lsn():
            self._look(lsn, level, deadline, appended)
            return
        inbox = self._inbox(level)
        future = inbox.add(lsn)
        timer = None
        left = deadline.left_s()
        if left is not None:
            late = partial(self._late, lsn, level, deadline, appended)
            timer = inbox.loop.call_later(left, _give_up, inbox, future, late)
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                inbox.abandon()
            raise
        except DuraLogError as error:
            _remember(error, lsn, appended)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _look(self, lsn: int, level: Level, deadline: Deadline, appended: int) -> None:
        """Raises, unless the level has been reached meanwhile."""
        try:
            self._log.wait(lsn, 0, level)
        except DuraLogTimeoutError:
            raise self._late(lsn, level, deadline, appended) from None
        except DuraLogError as error:
            _remember(error, lsn, appended)
            raise

    def _inbox(self, level: Level, follows: bool = False) -> Inbox:
        return watch().inbox(self._log, level, asyncio.get_running_loop(), follows)

    def _late(self, lsn: int, level: Level, deadline: Deadline, appended: int) -> DuraLogError:
        sentence = (
            f"{self.path}: gave up after {deadline.timeout:g} s; LSN {lsn} was not {level}; all "
            f"below {self.durable_lsn} is durable"
        )
        error = DuraLogTimeoutError(errno.ETIMEDOUT, sentence, self.path)
        _remember(error, lsn, appended)
        return error

    def _check_level(self, level: Level) -> None:
        """Fails before something is appended if the level is never reached."""
        if level_number(level) > LEVELS["durable"]:
            self._log.wait(0, 0, level)

    @property
    def durable_lsn(self) -> int:
        """As DuraLog.durable_lsn."""
        return self._log.durable_lsn

    @property
    def committed_lsn(self) -> int:
        """As DuraLog.committed_lsn."""
        return self._log.committed_lsn

    # ---- Reading -------------------------------------------------------------------------------

    @overload
    def replay(
        self, from_lsn: int = 0, *, with_lsn: Literal[False] = False, raw: Literal[False] = False
    ) -> AsyncGenerator[Any, None]: ...

    @overload
    def replay(
        self, from_lsn: int = 0, *, with_lsn: Literal[True], raw: Literal[False] = False
    ) -> AsyncGenerator[tuple[int, Any], None]: ...

    @overload
    def replay(
        self, from_lsn: int = 0, *, with_lsn: Literal[False] = False, raw: Literal[True]
    ) -> AsyncGenerator[tuple[int, bytes], None]: ...

    @overload
    def replay(
        self, from_lsn: int = 0, *, with_lsn: Literal[True], raw: Literal[True]
    ) -> AsyncGenerator[tuple[int, tuple[int, bytes]], None]: ...

    def replay(
        self, from_lsn: int = 0, *, with_lsn: bool = False, raw: bool = False
    ) -> AsyncGenerator[Any, None]:
        """An asynchronous iterator over all records that were appended before the call. Files are
        read in the loop's executor, 1024 records at a time. Else as DuraLog.replay."""
        end = self._log._reserved_lsn()
        after = integer("from_lsn", from_lsn, 0, end)
        return self._replay(_reading.Span(after, end, with_lsn, raw))

    async def _replay(self, span: _reading.Span) -> AsyncGenerator[Any, None]:
        if self._log._options["flusher"]:
            await self._reach(span.until, "durable", Deadline(None))
        else:
            durable = self._log.durable_lsn
            span = span._replace(after=min(span.after, durable), until=durable)
        records = await _in_executor(self._read, span, span.after)
        while True:
            part, error = await _in_executor(_take, records, READ_RECORDS)
            for record in part:
                yield record
            if error is not None:
                raise error
            if len(part) < READ_RECORDS:
                return

    @overload
    def follow(
        self,
        from_lsn: int | None = None,
        *,
        with_lsn: Literal[False] = False,
        raw: Literal[False] = False,
    ) -> AsyncGenerator[Any, None]: ...

    @overload
    def follow(
        self, from_lsn: int | None = None, *, with_lsn: Literal[True], raw: Literal[False] = False
    ) -> AsyncGenerator[tuple[int, Any], None]: ...

    @overload
    def follow(
        self, from_lsn: int | None = None, *, with_lsn: Literal[False] = False, raw: Literal[True]
    ) -> AsyncGenerator[tuple[int, bytes], None]: ...

    @overload
    def follow(
        self, from_lsn: int | None = None, *, with_lsn: Literal[True], raw: Literal[True]
    ) -> AsyncGenerator[tuple[int, tuple[int, bytes]], None]: ...

    def follow(
        self, from_lsn: int | None = None, *, with_lsn: bool = False, raw: bool = False
    ) -> AsyncGenerator[Any, None]:
        """An endless asynchronous iterator over the records behind `from_lsn`, or those appended
        after this call without it. Each is yielded as soon as it is durable.

        Any number of coroutines may follow; all of them wait by means of the one thread. Goes on
        while no flusher runs, or a device has failed, until there is more. Closing the handle ends
        it with DuraLogClosedError; so does leaving the loop, without one. Else as DuraLog.follow.
        """
        end = self._log._reserved_lsn()
        after = end if from_lsn is None else integer("from_lsn", from_lsn, 0, end)
        return self._follow(_reading.Span(after, with_lsn=with_lsn, raw=raw))

    async def _follow(self, span: _reading.Span) -> AsyncGenerator[Any, None]:
        begin = min(span.after, self._log.durable_lsn)
        records = await _in_executor(self._read, span, begin)
        while True:
            durable = self._log.durable_lsn  # before looking: all of it is found
            part, error = await _in_executor(_take, records, READ_RECORDS)
            for record in part:
                yield record
            if error is not None:
                raise error
            if not part:
                await self._growth(durable)

    def _read(self, span: _reading.Span, begin: int) -> Iterator[Any]:
        """An iterator over records that may go on where it has ended."""
        reader = _reading.Reader(self._log._native, self.path, begin)
        return _reading.records(reader, span, self._log._way, _reading.ending(reader))

    async def _growth(self, durable: int) -> None:
        """Until more than that is durable."""
        inbox = self._inbox("durable", follows=True)
        future = inbox.add(durable + 1)
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                inbox.abandon()
            raise

    # ---- The handle ----------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """As DuraLog.path."""
        return self._log.path

    @property
    def uuid(self) -> str:
        """As DuraLog.uuid."""
        return self._log.uuid

    async def close(self, timeout: float | None = None) -> None:
        """Syncs, then detaches; coroutines that still wait get DuraLogClosedError soon. The handle
        is closed also when the sync fails or is cancelled. Else as DuraLog.close."""
        try:
            if self._log._handle is not None and self._log._is_served():
                await self.sync(timeout)
        finally:
            with contextlib.suppress(DuraLogError):
                self._log.close(timeout=0)

    async def __aenter__(self) -> Self:
        self._log._check_usable()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._log!r}>"


def _give_up(inbox: Inbox, future: asyncio.Future[None], late: Callable[[], DuraLogError]) -> None:
    if not future.done():
        future.set_exception(late())
        inbox.abandon()


def _remember(error: DuraLogError, lsn: int, appended: int) -> None:
    if appended:
        error.appended, error.lsn = appended, lsn


def _checked(records: Iterable[Record]) -> Iterator[Record]:
    if isinstance(records, (dict, str, bytes, bytearray, memoryview)):
        raise TypeError(
            f"append_many takes an iterable of records, not a {type(records).__name__}; append "
            "takes one record"
        )
    return iter(records)


def _take(iterator: Iterator[_T], most: int) -> tuple[list[_T], Exception | None]:
    """The next items, and what went wrong behind them."""
    taken: list[_T] = []
    try:
        taken.extend(islice(iterator, most))
    except Exception as error:
        return taken, error
    return taken, None


async def _in_executor(function: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, partial(function, *arguments, **options))
