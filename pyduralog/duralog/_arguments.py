# SPDX-License-Identifier: MIT
"""What callers pass, checked and in the library's units.

A wrong type is a TypeError, a value that cannot be used a DuraLogConfigurationError, and both name
the argument. Knows _native's structs, _errors. Changes with the public arguments.
"""

from __future__ import annotations

import ctypes
import math
import operator
import os
from time import monotonic
from typing import Literal, Union

from . import _native
from ._errors import DuraLogConfigurationError, MissingPathError

Level = Literal["committed", "durable", "replicated"]
Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

LEVELS = {
    "committed": _native.COMMITTED,
    "durable": _native.DURABLE,
    "replicated": _native.REPLICATED,
}

SLICE_S = 0.1  # as long a signal, or another thread's close, goes unnoticed by who waits
LSN_MAX = (1 << 64) - 1
NS_PER_S = 1_000_000_000
NS_MAX = (1 << 63) - 1

# What a record of 256 bytes, the ordinary size of max_queue_size, takes in the ring: with its
# header of 16, rounded up to 64.
ORDINARY_SPAN = 320
RING_BYTES_MIN = 1 << 16


class Deadline:
    """A time-out that has begun, handed out in slices. None never ends."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = None
        if timeout is not None and number("timeout", timeout) < math.inf:
            self._end = monotonic() + timeout

    def slice_ns(self) -> int:
        """How long the next call may wait."""
        left = SLICE_S if self._end is None else self._end - monotonic()
        return int(max(0.0, min(SLICE_S, left)) * NS_PER_S)

    def left_s(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - monotonic())

    def over(self) -> bool:
        return self._end is not None and monotonic() >= self._end


FOREVER = Deadline(None)


def number(name: str, value: float) -> float:
    """A number of seconds, not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    if not value >= 0:
        raise DuraLogConfigurationError(f"{name}={value!r}: must be 0 or more seconds")
    return value


def integer(name: str, value: int, smallest: int, largest: int = LSN_MAX) -> int:
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is an int, not {value!r}") from None
    if not smallest <= result <= largest:
        raise DuraLogConfigurationError(f"{name}={value!r}: must be {smallest} to {largest}")
    return result


def level_number(level: Level) -> int:
    if not isinstance(level, str) or level not in LEVELS:
        raise DuraLogConfigurationError(f"level={level!r}: must be one of {', '.join(LEVELS)}")
    return LEVELS[level]


def path_bytes(path: Path | None, file_path: Path | None) -> bytes:
    if (path is None) == (file_path is None):
        raise MissingPathError("DuraLog needs the path of a log: path or file_path, one of them")
    encoded = os.fsencode(path if file_path is None else file_path)  # type: ignore[arg-type]
    if not encoded or b"\0" in encoded:
        raise DuraLogConfigurationError(f"path={encoded!r}: must not be empty or hold a NUL")
    return encoded


def options(
    commit_interval_seconds: float,
    max_queue_size: int | None,
    ring_bytes: int | None,
    segment_bytes: int | None,
    spare_bytes: int,
    create: bool,
    flusher: bool,
) -> _native.Options:
    if max_queue_size is not None:
        records = integer("max_queue_size", max_queue_size, 1, LSN_MAX // ORDINARY_SPAN)
        if ring_bytes is None:
            ring_bytes = max(records * ORDINARY_SPAN, RING_BYTES_MIN)
    interval = number("commit_interval_seconds", commit_interval_seconds)
    return _native.Options(
        size=ctypes.sizeof(_native.Options),
        flags=_native.INTERRUPTIBLE
        | (0 if create else _native.NO_CREATE)
        | (0 if flusher else _native.NO_FLUSHER),
        ring_bytes=0 if ring_bytes is None else integer("ring_bytes", ring_bytes, 1),
        segment_bytes=0 if segment_bytes is None else integer("segment_bytes", segment_bytes, 1),
        full_timeout_ns=0,
        commit_interval_ns=int(min(interval * NS_PER_S, NS_MAX)),
        spare_bytes=integer("spare_bytes", spare_bytes, 0),
    )
