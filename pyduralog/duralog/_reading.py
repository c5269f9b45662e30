# SPDX-License-Identifier: MIT
"""Reading: what DuraLog.replay() and DuraLog.follow() iterate over.

Records come from the library in batches that stay where they are until the next call. Each is
decoded just before it is yielded, from one memoryview over the whole address space: slicing that
costs a fraction of what a ctypes call for each record would.

Knows _codec, _native, _errors. Changes with how records are taken from the library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator
from typing import Any, Callable

from ._codec import decode
from ._errors import error_from_status
from ._native import RECORD_FORMAT, Library, Owned, Record

BATCH = 1024  # records a call

_RECORD_BYTES = struct.calcsize(RECORD_FORMAT)
_SPACE_BYTES = min(sys.maxsize, 1 << 47)  # user space's addresses: none is greater
_memory = memoryview((ctypes.c_char * _SPACE_BYTES).from_address(0)).cast("B")


class Reader:
    """A position in the log's files. For one thread at a time."""

    def __init__(self, native: Library, path: str, from_lsn: int) -> None:
        self._native = native
        self._path = path
        self._pointer = Owned()
        status = native.reader_open(os.fsencode(path), from_lsn, ctypes.byref(self._pointer))
        self._check(status)
        self._pointer.release = native.reader_close
        self._records = (Record * BATCH)()
        self._view = memoryview(self._records).cast("B")

    def take(self) -> Iterator[tuple[int, int, int, int, int]]:
        """The next records as address, length, LSN, type, 0; none at the end for now. To be used
        up before the next call."""
        count = self._check(self._native.reader_next_batch(self._pointer, self._records, BATCH))
        return struct.iter_unpack(RECORD_FORMAT, self._view[: count * _RECORD_BYTES])

    def wait(self, timeout_ns: int) -> None:
        """Returns when there is more to take, or when the time is over."""
        status = self._native.reader_wait(self._pointer, timeout_ns)
        if status != -errno.ETIMEDOUT:
            self._check(status)

    def _check(self, status: int) -> int:
        if status < 0:
            native = self._native
            raise error_from_status(status, native.sentence(), self._path, native.error_subject())
        return status


def replay(reader: Reader, until: int, with_lsn: bool) -> Iterator[Any]:
    """All records up to the one that ends at `until`."""
    lsn, taken = 0, -1
    while lsn < until and lsn != taken:
        taken = lsn
        for address, length, lsn, kind, _ in reader.take():
            if lsn > until:
                return
            record = decode(kind, _memory[address : address + length])
            yield (lsn, record) if with_lsn else record


def follow(
    reader: Reader,
    after: int,
    with_lsn: bool,
    slice_ns: int,
    check_open: Callable[[], None],
) -> Iterator[Any]:
    """All records that end behind `after`, for ever. Waits in slices, so that Python's signal
    handlers run and a handle that is closed meanwhile is noticed."""
    lsn = taken = 0
    while True:
        check_open()
        if lsn == taken:
            reader.wait(slice_ns)
        taken = lsn
        for address, length, lsn, kind, _ in reader.take():
            if lsn > after:
                record = decode(kind, _memory[address : address + length])
                yield (lsn, record) if with_lsn else record
