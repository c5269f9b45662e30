# SPDX-License-Identifier: MIT
"""Reading: what DuraLog.replay() and DuraLog.follow() return.

Records come from the library in batches that stay where they are until the next call, and each
becomes a value just before it is yielded. The library's own iterator does that
(src/python/read.c); where it cannot be used, the one here does it through ctypes.

Knows _arguments, _codec, _native, _errors. Changes with how records are taken from the library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

from ._arguments import LSN_MAX, NS_PER_S, SLICE_S
from ._codec import Decode, Way
from ._errors import error_from_status
from ._native import CPYTHON, RECORD_FORMAT, Library, Owned, Reading, Record

LOOK_RECORDS = 1024  # asked of the library at a time

_RECORD_BYTES = struct.calcsize(RECORD_FORMAT)
_SPACE_BYTES = min(sys.maxsize, 1 << 47)  # user space's addresses: none is greater


class _Space(ctypes.c_char * _SPACE_BYTES):  # type: ignore[misc]
    """The whole address space. Slicing a view of it costs a fraction of a ctypes call a record.
    Such views keep it alive, and it the reader whose memory they show."""

    reader: Owned


class Entry(NamedTuple):
    """shmwal_record"""

    address: int
    length: int
    lsn: int
    kind: int
    reserved: int


def _copy(entry: Entry) -> memoryview:
    """Its payload, where ctypes has no view of memory that is not its own (PyPy)."""
    return memoryview(ctypes.string_at(entry.address, entry.length))


class Span(NamedTuple):
    """Which records, those that end behind `after` and not behind `until`, and in what form."""

    after: int = 0
    until: int = LSN_MAX
    with_lsn: bool = False
    raw: bool = False


class Reader:
    """A position in the log's files. For one thread at a time."""

    def __init__(self, native: Library, path: str, from_lsn: int) -> None:
        self.native = native
        self._path = path
        self.pointer = Owned()
        status = native.reader_open(os.fsencode(path), from_lsn, ctypes.byref(self.pointer))
        self.check(status)
        self.pointer.release = native.reader_close
        self._records = (Record * LOOK_RECORDS)()
        self._view = memoryview(self._records).cast("B")

    def look(self) -> list[Entry]:
        """The next records, whose memory stays until the next call; none at the end for now."""
        count = self.native.reader_next_batch(self.pointer, self._records, LOOK_RECORDS)
        found = self._view[: self.check(count) * _RECORD_BYTES]
        return [Entry._make(entry) for entry in struct.iter_unpack(RECORD_FORMAT, found)]

    def wait(self, timeout_ns: int) -> None:
        """Returns when there is more to take, or when the time is over."""
        status = self.native.reader_wait(self.pointer, timeout_ns)
        if status != -errno.ETIMEDOUT:
            self.check(status)

    def check(self, status: int) -> int:
        if status < 0:
            native = self.native
            raise error_from_status(status, native.sentence(), self._path, native.error_subject())
        return status

    def space(self) -> _Space:
        space: _Space = _Space.from_address(0)
        space.reader = self.pointer
        return space


# What is asked whenever the library was: how many records it gave, 0 at the end for now, or a
# negative errno; and the last one's LSN. Raises, or says whether to go on.
Turn = Callable[[int, int], bool]


def records(reader: Reader, span: Span, way: Way, turn: Turn) -> Iterator[Any]:
    """The span's records, ready. What a codec raises is raised in place of the record."""
    if not reader.native.is_fast:
        return _Records(reader, span, way.decode, turn)
    how = Reading(span.after, span.until, way.type, way.chosen, span.with_lsn, span.raw)
    made: Iterator[Any] = reader.native.iterator(
        *(reader.native.iterator_type, reader.pointer, reader.pointer.value, ctypes.byref(how)),
        *(way.loads, way.decode, turn),
    )
    return made


class _Records:
    """src/python/read.c, through ctypes."""

    def __init__(self, reader: Reader, span: Span, decode: Decode, turn: Turn) -> None:
        self._reader, self._span, self._decode, self._turn = reader, span, decode, turn
        self._memory = memoryview(reader.space()).cast("B") if CPYTHON else None
        self._entries: list[Entry] = []  # the next one last
        self._busy = threading.Lock()  # other than a generator, threads might enter it at once

    def __iter__(self) -> _Records:
        return self

    def __next__(self) -> Any:
        if not self._busy.acquire(blocking=False):
            raise ValueError("this iterator is already executing: it is for one thread at a time")
        try:
            return self._value(self._find())
        finally:
            self._busy.release()

    def _find(self) -> Entry:
        while True:
            while self._entries and self._reader.pointer:
                entry = self._entries[-1]
                if entry.lsn > self._span.until:
                    raise StopIteration
                self._entries.pop()
                if entry.lsn > self._span.after:
                    return entry
            self._entries = self._reader.look()[::-1]
            end = self._entries[0].lsn if self._entries else 0
            if not self._turn(len(self._entries), end):
                raise StopIteration

    def _value(self, entry: Entry) -> Any:
        if self._memory is not None:
            payload = self._memory[entry.address : entry.address + entry.length]
        else:
            payload = _copy(entry)
        value = (
            (entry.kind, bytes(payload)) if self._span.raw else self._decode(entry.kind, payload)
        )
        return (entry.lsn, value) if self._span.with_lsn else value


# ---- When there is no more -----------------------------------------------------------------------


def ending(reader: Reader) -> Turn:
    """Of a replay: the end for now is the end."""

    def turn(found: int, lsn: int) -> bool:
        return reader.check(found) > 0

    return turn


def waiting(reader: Reader, is_open: Callable[[], bool], check_open: Callable[[], None]) -> Turn:
    """Of a follower, which waits in slices, so that Python's signal handlers run and a handle that
    is closed meanwhile is noticed."""

    def turn(found: int, lsn: int) -> bool:
        if reader.check(found) == 0 or not is_open():
            check_open()
            if found == 0:
                reader.wait(int(SLICE_S * NS_PER_S))
        return True

    return turn


# ---- Without a copy ------------------------------------------------------------------------------


def views(reader: Reader, span: Span) -> Iterator[tuple[int, int, memoryview]]:
    """The span's records: LSN, type and a view of the reader's memory, which is released when the
    next one is asked for. Slices of it that are still there when the memory would be used again are
    refused. (On PyPy, which counts no references, they are copies.)"""
    if not CPYTHON:
        yield from _copies(reader, span)
        return
    space = reader.space()
    alone = sys.getrefcount(space)
    while entries := reader.look():
        whole = memoryview(space).cast("B").toreadonly()
        for entry in entries:
            if entry.lsn > span.until:
                return
            if entry.lsn > span.after:
                view = whole[entry.address : entry.address + entry.length]
                yield entry.lsn, entry.kind, view
                view.release()
        whole.release()
        if sys.getrefcount(space) > alone:
            raise BufferError(
                "a slice of a record's memoryview is still in use: release it, or copy it with "
                "bytes(), before the next record is asked for"
            )


def _copies(reader: Reader, span: Span) -> Iterator[tuple[int, int, memoryview]]:
    while entries := reader.look():
        for entry in entries:
            if entry.lsn > span.until:
                return
            if entry.lsn > span.after:
                yield entry.lsn, entry.kind, _copy(entry)
