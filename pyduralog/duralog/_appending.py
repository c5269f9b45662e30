# SPDX-License-Identifier: MIT
"""Appending what can be appended at once: the two functions that a handle tries first.

Neither waits, and neither raises for what the library says: they decline, and _log waits or finds
out what is wrong. The library brings its own pair (src/python/append.c), which spares ctypes; the
one here does the same through ctypes, wherever that cannot be used.

Knows _batches, _codec, _native. Changes with src/python/append.c.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

from ._batches import LENGTH_MAX
from ._codec import Encode, Way
from ._native import Library, Owned

RECORDS_MAX = 1024
BYTES_MAX = 1 << 20
_INT_MAX = (1 << 31) - 1

# What append_many has done with the first of an iterator's records, and how it goes on: how many
# are in the log, and the last one's LSN; those that are encoded but not in the log, as payloads end
# to end, their lengths and types; and None at the iterator's end, else a tuple: the record that it
# declines, if that is why it stopped.
Turn = tuple[int, int, bytes, bytes, bytes, Optional[tuple[Any, ...]]]


class Appender(NamedTuple):
    append: Callable[[Any], int | None]  # the record's LSN; None: declined
    append_many: Callable[[Iterator[Any]], Turn]


def appender(native: Library, handle: Owned, way: Way) -> Appender:
    """Bound to the handle, which stays open as long as one of them is in use."""
    if native.is_fast:
        return Appender(*native.appender(handle, handle.value, way.dumps, way.type, way.chosen))
    return _through_ctypes(native, handle, way.encode)


def closed(encode: Encode) -> Appender:
    """Of a closed handle: they decline everything."""
    return Appender(lambda record: None, lambda records: _stage(encode, records))


def _through_ctypes(native: Library, handle: Owned, encode: Encode) -> Appender:
    append_typed = native.append_typed
    # Where the library puts an LSN: a c_uint64 and a pointer to it. Making the two takes as long as
    # the append itself, so they are used again; one in use is not in the list, whose pop and append
    # are atomic.
    cells: list[tuple[ctypes.c_uint64, Any]] = []

    def append(record: Any) -> int | None:
        payload, kind = encode(record)
        if len(payload) > _INT_MAX:
            return None
        try:
            cell = cells.pop()
        except IndexError:
            number = ctypes.c_uint64()
            cell = number, ctypes.byref(number)
        status = append_typed(handle, payload, len(payload), kind, cell[1])
        lsn = cell[0].value if status == 0 else None
        cells.append(cell)
        return lsn

    return Appender(append, lambda records: _stage(encode, records))


def _stage(encode: Encode, records: Iterator[Any]) -> Turn:
    """A turn that encodes some and appends none."""
    payloads: list[bytes] = []
    kinds = bytearray()
    total = 0
    left: tuple[Any, ...] | None = ()
    while len(payloads) < RECORDS_MAX and total < BYTES_MAX:
        try:
            record = next(records)
        except StopIteration:
            left = None
            break
        try:
            payload, kind = encode(record)
        except Exception:
            left = (record,)  # to be encoded anew, and then it raises
            break
        if len(payload) > LENGTH_MAX:
            left = (record,)
            break
        payloads.append(payload)
        kinds.append(kind)
        total += len(payload)
    lengths = array("I", map(len, payloads))
    return 0, 0, b"".join(payloads), lengths.tobytes(), bytes(kinds), left
