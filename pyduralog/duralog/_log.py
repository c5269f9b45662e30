# SPDX-License-Identifier: MIT
"""DuraLog, the handle: opening, appending, waiting, reading, closing.

Knows all other modules of the package. Changes with what a handle can do.

There is no lock here, so a fork leaves none locked. What threads share is the handle's pointer,
which lives as long as a call that uses it (see Owned in _native).

A closed handle's pointer is None, NULL for the library, which refuses it with -EINVAL; only then is
it asked whether the handle was closed. So a handle in use pays nothing for the check.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Literal, overload

from . import _appending, _arguments, _codec, _native, _progress, _reading
from ._arguments import FOREVER, Deadline, Level, Path
from ._batches import Batch, Guarded, encode_numbered
from ._codec import Codec, Record
from ._errors import DuraLogClosedError, DuraLogError, error_from_status

if TYPE_CHECKING:
    from typing_extensions import Self

_NOT_YET = (-errno.ETIMEDOUT, -errno.EAGAIN)
_NONE: Any = None


class DuraLog:
    """A handle on the log at a path, which this process shares with all others that open it.

    Opening creates the log, and missing parent directories, if nothing is there, and starts a
    flusher process if none runs.

    `path`, or `file_path`
        The log's directory: str, bytes or os.PathLike.
    `commit_interval_seconds`
        How long the flusher may gather records before it syncs while nobody waits; of several
        handles the smallest holds. 0, the default: as soon as the device is free. Greater values
        write less and lose more to a power cut, never to a crash of processes.
    `max_queue_size`
        For how many records of 256 bytes the ring is made at creation, unless `ring_bytes` says.
    `ring_bytes`, `segment_bytes`
        Sizes at creation; an existing log's stand. The ring, 32 MiB unless given, lies in /dev/shm
        and takes records of at most half its size.
    `spare_bytes`
        At creation: files of so many bytes, rounded up to whole segments, are kept ahead of need,
        written full of zeros. They take that much disk; what goes to them is durable sooner. 0, the
        default: one file, when the log's use shows that it pays.
    `create`
        False: DuraLogIOError with ENOENT where there is no log.
    `flusher`
        False: never start one; somebody else does, or nothing becomes durable.
    `codec`
        How this handle keeps records that are neither text nor bytes; None: as JSON. See Codec.

    Blocks while a flusher is started, some tens of milliseconds. Raises DuraLogConfigurationError
    for a value that cannot be used, DuraLogCorruptionError, and of DuraLogIOError, each with what
    to do in its message: DuraLogNotFoundError, DuraLogNotALogError, DuraLogPermissionError,
    DuraLogReadOnlyError, DuraLogVersionError, DuraLogSharedMemoryError, DuraLogFlusherError,
    DuraLogNoSpaceError, DuraLogResourceError.

    Threads may share a handle without a lock of their own. A handle works on in a forked child. It
    pickles as its path and options, so it reaches a spawned process, which opens its own; a copy is
    another handle on the same log. The last reference to an open handle detaches it without waiting
    for the disk: nothing that was appended is lost by that.

    Where somebody truncates the ring in /dev/shm, methods raise DuraLogSharedMemoryError: the
    library has a handler of SIGBUS. What sets another one after the first log was opened, as
    faulthandler.enable() does, takes its place, and the process ends then; before it is well.
    """

    # Tells _waiting, if coroutines have waited for this log: it notices a close at once.
    _on_close: Callable[[], None] | None = None

    def __init__(
        self,
        path: Path | None = None,
        commit_interval_seconds: float = 0.0,
        max_queue_size: int | None = None,
        *,
        file_path: Path | None = None,
        ring_bytes: int | None = None,
        segment_bytes: int | None = None,
        spare_bytes: int = 0,
        create: bool = True,
        flusher: bool = True,
        codec: Codec | None = None,
    ) -> None:
        self._handle: _native.Owned | None = None
        self._way = _codec.way_of(codec)
        given = _arguments.path_bytes(path, file_path)
        self._path = os.fsdecode(given)
        self._options: dict[str, Any] = {
            "commit_interval_seconds": commit_interval_seconds,
            "max_queue_size": max_queue_size,
            "ring_bytes": ring_bytes,
            "segment_bytes": segment_bytes,
            "spare_bytes": spare_bytes,
            "create": create,
            "flusher": flusher,
        }
        options = _arguments.options(**self._options)
        if codec is not None:
            self._options["codec"] = codec
        native = self._native = _native.library()
        handle = _native.Owned()
        while True:
            status = native.open(given, ctypes.byref(options), ctypes.byref(handle))
            if status != -errno.EINTR:  # else Python has run the signal's handler in between
                break
        if status < 0:
            raise error_from_status(status, native.sentence(), self._path, native.error_subject())
        handle.release = native.close
        uuid = ctypes.create_string_buffer(37)
        native.uuid(handle, uuid)
        self._uuid = uuid.value.decode()
        self._path = os.fsdecode(native.path_of(handle))
        self._append, self._append_many = _appending.appender(native, handle, self._way)
        self._handle = handle

    # ---- Appending -----------------------------------------------------------------------------

    def append(
        self,
        record: Record = _NONE,
        *,
        level: Level = "committed",
        timeout: float | None = None,
        data: Record = _NONE,
    ) -> int:
        """Appends one record and returns the LSN just past it, to wait for or to read from.

        dict and list are stored as JSON, str as text, bytes-like as bytes, and `replay` yields an
        equal value. So what JSON would change is refused, with a TypeError that names it: NaN,
        cycles, keys that are no str, tuples, Enum, UUID, dates. Subclasses of dict, list, str, int
        and float come back as the plain type; an int may be of any size.

        On return the record is committed: it survives the death of any process, this one included.
        With `level="durable"` it returns once the device has it as well.

        Makes no system call and waits for no disk, unless the ring is full; then it waits for room.
        `timeout`, in seconds, limits all waiting: None for ever, 0 not at all. May be called by any
        number of threads, and from signal handlers.

        TypeError, DuraLogTimeoutError, DuraLogTooLargeError, DuraLogClosedError,
        DuraLogDeviceError, DuraLogStoppedError, and what starting a flusher raises where one has
        died. A record that failed is in the log if and only if the error has an `lsn`.

        `data` is what the earlier library called the record.
        """
        if record is None:
            record = data
        deadline = FOREVER
        if timeout is not None:
            deadline = Deadline(timeout)
        if level != "committed":
            self._check_level(level)
        lsn = self._append(record)
        if lsn is None:
            lsn = self._append_waiting(record, deadline)
        if level != "committed":
            self._reach(lsn, level, deadline, appended=1)
        return lsn

    def append_many(
        self,
        records: Iterable[Record],
        *,
        level: Level = "committed",
        timeout: float | None = None,
    ) -> int:
        """Appends all records of an iterable, in their order, and returns the last one's LSN.

        Much cheaper than as many appends: the library is called once for every 1024 records or MiB.
        An iterator is consumed as it goes. Other processes' records may come between. `level` and
        `timeout` as in `append`; the time-out is for all of it together. With no records it returns
        the LSN at which the next one will begin, or an earlier one.

        Raises what `append` raises. At a value that cannot be kept, or an exception of the iterator
        itself, those before it are in the log; a DuraLogError's `appended` tells how many are.
        """
        deadline = Deadline(timeout)
        self._check_level(level)
        source = Guarded(records)
        lsn, appended = self._reserved_lsn(), 0
        left: tuple[Any, ...] | None = ()
        while left is not None:
            count, end, *staged, left = self._append_many(source.iterator)
            appended += count
            lsn = end or lsn
            if staged[-1]:
                lsn = self._append_batch(Batch(*staged), deadline, appended)
                appended += len(staged[-1])
            if left:
                record = encode_numbered(self._way.encode, left[0], appended)
                lsn = self._append_batch(record, deadline, appended)
                appended += 1
        if source.error is not None:
            raise source.error
        self._reach(lsn, level, deadline, appended)
        return lsn

    def _append_waiting(self, record: Record, deadline: Deadline) -> int:
        """Behind an attempt that has declined: waits for room, or says what is wrong."""
        payload, kind = self._way.encode(record)
        lsn = ctypes.c_uint64()

        def attempt(timeout_ns: int) -> int:
            return self._native.append_for(  # type: ignore[no-any-return]
                self._handle, payload, len(payload), kind, timeout_ns, ctypes.byref(lsn)
            )

        status = self._in_slices(attempt, deadline)
        if status < 0:
            raise self._failure(status, deadline)
        return lsn.value

    def _append_batch(self, batch: Batch, deadline: Deadline, before: int) -> int:
        """The LSN of its last record. `before`: how many append_many has appended so far."""
        lsn, done = ctypes.c_uint64(), ctypes.c_size_t()
        total = len(batch)
        left = batch

        def attempt(timeout_ns: int) -> int:
            nonlocal left
            address, count = left.lengths.buffer_info()
            status: int = self._native.append_batch(
                *(self._handle, left.data, address, left.kinds, count),
                *(timeout_ns, ctypes.byref(lsn), ctypes.byref(done)),
            )
            left = left.behind(done.value)
            return status

        status = self._in_slices(attempt, deadline)
        if status < 0:
            error = self._failure(status, deadline)
            error.appended = before + total - len(left)
            try:
                raise error
            finally:
                del error  # else it and this frame hold each other, and the handle
        return lsn.value

    # ---- Waiting -------------------------------------------------------------------------------

    def wait(self, lsn: int, timeout: float | None = None, level: Level = "durable") -> None:
        """Returns once all that ends at or before `lsn` has reached the level, whoever appended it.

        Blocks, other threads running on, at most `timeout` seconds: None for ever, 0 not at all. If
        the flusher has died, another one is started, unless the handle was opened with
        `flusher=False`. Signals are handled meanwhile, so Ctrl-C ends it.

        DuraLogTimeoutError; DuraLogConfigurationError for an LSN that no append has returned yet;
        DuraLogDeviceError, DuraLogStoppedError, DuraLogClosedError.
        """
        deadline = Deadline(timeout)
        _arguments.level_number(level)
        self._reach(_arguments.integer("lsn", lsn, 0), level, deadline)

    def sync(self, timeout: float | None = None) -> None:
        """Returns once all that any process has appended before this call is durable. Blocks and
        raises as `wait` does."""
        deadline = Deadline(timeout)
        self._reach(self._reserved_lsn(), "durable", deadline)

    @property
    def durable_lsn(self) -> int:
        """All records that end at or before it survive a power loss. Does not block."""
        return self._watermark("durable")

    @property
    def committed_lsn(self) -> int:
        """All records that end at or before it are committed; one behind it may be as well, if an
        append before it is still going on. Does not block."""
        return self._watermark("committed")

    def _watermark(self, level: Level) -> int:
        lsn: int = self._native.lsn(self._handle, _arguments.LEVELS[level])
        if lsn == 0:
            self._check_usable()
        return lsn

    def _reserved_lsn(self) -> int:
        lsn: int = self._native.reserved_lsn(self._handle)
        if lsn == 0:
            self._check_usable()
        return lsn

    def _reach(self, lsn: int, level: Level, deadline: Deadline, appended: int = 0) -> None:
        number = _arguments.LEVELS[level]

        def attempt(timeout_ns: int) -> int:
            return self._native.wait(  # type: ignore[no-any-return]
                self._handle, lsn, number, timeout_ns
            )

        status = self._in_slices(attempt, deadline)
        if status < 0:
            error = self._failure(status, deadline)
            if appended:
                error.appended, error.lsn = appended, lsn
            try:
                raise error
            finally:
                del error  # else it and this frame hold each other, and whatever led here

    # ---- Reading -------------------------------------------------------------------------------

    @overload
    def replay(
        self,
        from_lsn: int = 0,
        *,
        with_lsn: Literal[False] = False,
        raw: Literal[False] = False,
        progress: bool = False,
    ) -> Iterator[Any]: ...

    @overload
    def replay(
        self,
        from_lsn: int = 0,
        *,
        with_lsn: Literal[True],
        raw: Literal[False] = False,
        progress: bool = False,
    ) -> Iterator[tuple[int, Any]]: ...

    @overload
    def replay(
        self,
        from_lsn: int = 0,
        *,
        with_lsn: Literal[False] = False,
        raw: Literal[True],
        progress: bool = False,
    ) -> Iterator[tuple[int, bytes]]: ...

    @overload
    def replay(
        self,
        from_lsn: int = 0,
        *,
        with_lsn: Literal[True],
        raw: Literal[True],
        progress: bool = False,
    ) -> Iterator[tuple[int, tuple[int, bytes]]]: ...

    def replay(
        self,
        from_lsn: int = 0,
        *,
        with_lsn: bool = False,
        raw: bool = False,
        progress: bool = False,
    ) -> Iterator[Any]:
        """An iterator over all records that were appended before the call, by anyone, in the order
        of their LSNs; with `from_lsn`, those behind that position only.

        Syncs first, and so blocks as `sync` does. On a handle that was opened with `flusher=False`
        it does not, and yields what is durable; so it does on a closed one. The iterator reads
        files as it goes, is for one thread at a time, and works on after the handle was closed.

        A record comes back equal to what was appended. What another program stored as text or JSON
        that is none comes as bytes; an integer beyond 64 bits in JSON of another program may come
        as a float. With `raw` nothing is decoded: a record is a pair of its type (1 bytes, 2 text,
        3 JSON, others the application's) and its bytes. With `with_lsn` it yields pairs of a
        record's LSN and the record. `progress` shows on stderr how far it has come, if that is a
        terminal: by tqdm, if it is installed.

        DuraLogConfigurationError for a position beyond the log's end; from the iterator,
        DuraLogCorruptionError at damage, behind all records that precede it, and DuraLogIOError.
        """
        span = self._span(from_lsn, with_lsn, raw)
        reader = self._reader(span)
        turn = _reading.ending(reader)
        if progress:
            turn = _progress.shown(turn, self._path, span.after, span.until)
        return _reading.records(reader, span, self._way, turn)

    def replay_views(self, from_lsn: int = 0) -> Iterator[tuple[int, int, memoryview]]:
        """As `replay`, without a copy: an iterator over triples of a record's LSN, its type and a
        read-only memoryview of its bytes, for records so large that copying them counts; below
        some KiB `replay(raw=True)` is faster.

        A view is valid until the next record is asked for; then it is released, and to use it
        raises ValueError. BufferError if something still holds on to it by then, or to a slice of
        it: a view never shows anything but its record. A view that is left when the iterator goes
        stays valid.
        """
        span = self._span(from_lsn)
        return _reading.views(self._reader(span), span)

    @overload
    def follow(
        self,
        from_lsn: int | None = None,
        *,
        with_lsn: Literal[False] = False,
        raw: Literal[False] = False,
    ) -> Iterator[Any]: ...

    @overload
    def follow(
        self,
        from_lsn: int | None = None,
        *,
        with_lsn: Literal[True],
        raw: Literal[False] = False,
    ) -> Iterator[tuple[int, Any]]: ...

    @overload
    def follow(
        self,
        from_lsn: int | None = None,
        *,
        with_lsn: Literal[False] = False,
        raw: Literal[True],
    ) -> Iterator[tuple[int, bytes]]: ...

    @overload
    def follow(
        self,
        from_lsn: int | None = None,
        *,
        with_lsn: Literal[True],
        raw: Literal[True],
    ) -> Iterator[tuple[int, tuple[int, bytes]]]: ...

    def follow(
        self, from_lsn: int | None = None, *, with_lsn: bool = False, raw: bool = False
    ) -> Iterator[Any]:
        """An endless iterator over the records behind `from_lsn`, or those appended after this call
        without it. Each is yielded as soon as it is durable.

        Waiting for the next one blocks, other threads running on; signals are handled meanwhile. To
        close the handle from another thread ends it with DuraLogClosedError; leaving the loop ends
        it too. Else as `replay`.
        """
        end = self._reserved_lsn()
        after = end if from_lsn is None else _arguments.integer("from_lsn", from_lsn, 0, end)
        start = min(after, self.durable_lsn)
        reader = _reading.Reader(self._native, self._path, start)
        span = _reading.Span(after, with_lsn=with_lsn, raw=raw)
        turn = _reading.waiting(reader, lambda: self._handle is not None, self._check_usable)
        return _reading.records(reader, span, self._way, turn)

    def _span(self, from_lsn: int, with_lsn: bool = False, raw: bool = False) -> _reading.Span:
        """From there to the end of what can be read now; what was appended is made durable
        first."""
        closed = not self._handle
        end = self._status().durable_lsn if closed else self._reserved_lsn()
        from_lsn = _arguments.integer("from_lsn", from_lsn, 0, end)
        if not closed and self._options["flusher"]:
            self._reach(end, "durable", FOREVER)
        elif not closed:
            end = self.durable_lsn
        return _reading.Span(min(from_lsn, end), end, with_lsn, raw)

    def _reader(self, span: _reading.Span) -> _reading.Reader:
        return _reading.Reader(self._native, self._path, span.after)

    # ---- The handle ----------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The log's absolute path. Known after closing too."""
        return self._path

    @property
    def file_path(self) -> pathlib.Path:
        """The same, as the earlier library has it."""
        return pathlib.Path(self._path)

    @property
    def uuid(self) -> str:
        """The log's identity, 36 characters. Known after closing too."""
        return self._uuid

    def close(self, timeout: float | None = None) -> None:
        """Syncs as `sync` does, then detaches. Does nothing on a closed handle.

        The handle is closed also when the sync fails, with DuraLogTimeoutError or DuraLogIOError:
        what was appended stays committed all the same. On a handle that was opened with
        `flusher=False` it does not wait if no flusher runs. Calls that other threads are in raise
        DuraLogClosedError soon.
        """
        deadline = Deadline(timeout)
        if self._handle is None:
            return
        try:
            if self._is_served():
                self._reach(self._reserved_lsn(), "durable", deadline)
        except DuraLogClosedError:
            pass  # another thread was faster
        finally:
            self._handle = None
            if self._on_close is not None:
                self._on_close()
            self._append, self._append_many = _appending.closed(self._way.encode)

    def _is_served(self) -> bool:
        """Whether what is committed becomes durable by and by."""
        if self._options["flusher"]:
            return True
        try:
            return bool(self._status().state != _native.STATE_STOPPED)
        except DuraLogError:
            return False

    def _status(self) -> _native.Status:
        status = _native.Status(size=ctypes.sizeof(_native.Status))
        result = self._native.get_status(os.fsencode(self._path), ctypes.byref(status))
        if result < 0:
            native = self._native
            raise error_from_status(result, native.sentence(), self._path, native.error_subject())
        return status

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._handle is None else ""
        return f"<{type(self).__name__} {self._path!r}{closed}>"

    def __reduce__(self) -> tuple[Callable[..., DuraLog], tuple[Any, ...]]:
        """Path and options; whoever unpickles or copies it opens the log anew."""
        self._check_usable()
        return _reopen, (type(self), self._path, self._options)

    # ---- Failing -------------------------------------------------------------------------------

    def _in_slices(self, attempt: Callable[[int], int], deadline: Deadline) -> int:
        """The status of the first attempt that is not too early, or of the last one in time."""
        while True:
            status = attempt(deadline.slice_ns())
            if status not in _NOT_YET or deadline.over():
                return status

    def _failure(self, status: int, deadline: Deadline = FOREVER) -> DuraLogError:
        sentence, subject = self._native.sentence(), self._native.error_subject()
        if not self._handle:
            return DuraLogClosedError(f"{self._path}: this handle is closed; open the log anew")
        if status in _NOT_YET and deadline.timeout:
            sentence = f"gave up after {deadline.timeout:g} s; {sentence}"
        return error_from_status(status, sentence, self._path, subject)

    def _check_usable(self) -> None:
        """To wait for nothing fails if and only if the handle is closed or cannot be used."""
        self._reach(0, "durable", FOREVER)

    def _check_level(self, level: Level) -> None:
        """Fails before something is appended, not behind it, if the level is never reached."""
        number = _arguments.level_number(level)
        status = self._native.wait(self._handle, 0, number, 0)
        if status < 0:
            raise self._failure(status)


def _reopen(kind: type[DuraLog], path: str, options: dict[str, Any]) -> DuraLog:
    return kind(path, **options)
