# SPDX-License-Identifier: MIT
"""Finding libshmwal and declaring its functions.

Nothing happens at import: the library is loaded when the first log is opened. Knows
include/shmwal.h, whose structs and signatures stand here again, and where the library may lie.
Changes with that header.

A function is reached in one of two ways. `_holding` keeps the interpreter's lock (PyDLL), for calls
that cannot block: letting go of the lock and taking it again would cost more than they do.
`_releasing` lets go of it (CDLL), for all that may wait or read files.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from ctypes import (
    POINTER,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache
from pathlib import Path
from typing import Any, Callable

from ._errors import DuraLogConfigurationError

COMMITTED, DURABLE, REPLICATED = 0, 1, 2  # shmwal_level
BYTES, TEXT, JSON = 1, 2, 3
NO_CREATE, NO_FLUSHER, INTERRUPTIBLE = 1, 2, 4
AHEAD, NO_START = 1, 2
STATE_STOPPED = 1

CPYTHON = sys.implementation.name == "cpython"  # PyPy's ctypes has neither PyDLL nor py_object

PACKAGE = Path(__file__).resolve().parent


class Options(ctypes.Structure):
    """shmwal_options"""

    _fields_ = [
        ("size", c_size_t),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("ring_bytes", c_uint64),
        ("segment_bytes", c_uint64),
        ("full_timeout_ns", c_int64),
        ("commit_interval_ns", c_uint64),
        ("spare_bytes", c_uint64),
    ]


class Record(ctypes.Structure):
    """shmwal_record"""

    _fields_ = [
        ("data", c_void_p),
        ("length", c_size_t),
        ("lsn", c_uint64),
        ("type", c_uint32),
        ("reserved", c_uint32),
    ]


class Target(ctypes.Structure):
    """shmwal_target"""

    _fields_ = [
        ("log", c_void_p),
        ("lsn", c_uint64),
        ("level", c_int),
        ("flags", c_uint32),
        ("result", c_int),
        ("reserved", c_uint32),
        ("private_check_ns", c_int64),
    ]


RECORD_FORMAT = "@PNQII"  # the same for the struct module


class Reading(ctypes.Structure):
    """struct python_reading, src/python/python.h"""

    _fields_ = [
        ("after", c_uint64),
        ("until", c_uint64),
        ("type", c_uint32),
        ("chosen", ctypes.c_int32),
        ("with_lsn", ctypes.c_int32),
        ("raw", ctypes.c_int32),
    ]


class Status(ctypes.Structure):
    """shmwal_status"""

    _fields_ = [
        ("size", c_size_t),
        ("state", c_int),
        ("device_errno", c_int),
        ("uuid", ctypes.c_char * 37),
        *(
            (name, c_uint64)
            for name in (
                *("first_lsn", "durable_lsn", "committed_lsn", "reserved_lsn"),
                *("ring_bytes", "segment_bytes", "segments", "bytes"),
                *("fillers_dead", "fillers_invalid"),
            )
        ),
        ("flusher_pid", c_int64),
        ("oldest_pid", c_int64),
        ("oldest_lsn", c_uint64),
        ("oldest_age_ms", c_uint64),
        ("oldest_alive", c_int),
        ("attached", c_uint32),
        ("oldest_inner_pid", c_int64),
        ("oldest_pid_namespace", c_uint32),
        ("spare_bytes", c_uint64),
        ("spares", c_uint64),
        ("spares_kept", c_uint64),
    ]


class Owned(c_void_p):
    """A pointer that the library gave. It is given back when the last reference goes.

    That is what lets any number of threads use a handle while another one closes it: each call in
    progress holds a reference, the last one to return lets go, and nobody takes a lock that a fork
    could leave locked.

    In a cycle that is collected, others may be finalized after it and still use it. Then it is
    NULL, which the library refuses. The functions of src/python/, which read it once, hide their
    reference from the collector, so it stays as long as they do.
    """

    release: Callable[[c_void_p], int] | None = None
    check_ns = 0  # when the thread that waits for coroutines looks at this log's flusher

    def __del__(self) -> None:
        if self and self.release is not None:
            address, self.value = self.value, None
            self.release(c_void_p(address))


class Library:
    """libshmwal's functions, named as in the header without the prefix."""

    def __init__(self, name: str) -> None:
        self.path = name
        self._holding = ctypes.PyDLL(name) if CPYTHON else ctypes.CDLL(name)
        self._releasing = ctypes.CDLL(name)

        # The path of every append. Without declared types ctypes converts by what it is given, in
        # half the time: None or an Owned to a pointer, bytes to theirs, an int to a C int, which
        # libffi widens to the parameter's register. So a length must be below 2 ** 31 here.
        self.append_typed = self._holding.shmwal_append_typed

        self.open = self._declare(self._releasing, "open", c_char_p, POINTER(Options), c_void_p)
        self.close = self._declare(self._releasing, "close", c_void_p)
        self.path_of = self._declare(self._holding, "path", c_void_p, result=c_char_p)
        self.uuid = self._declare(self._holding, "uuid", c_void_p, c_char_p, result=None)
        self.append_for = self._declare(
            *(self._releasing, "append_for", c_void_p, c_char_p, c_size_t),
            *(c_uint32, c_int64, c_void_p),
        )
        self.append_batch = self._declare(
            *(self._releasing, "append_batch", c_void_p, c_char_p, c_void_p, c_char_p),
            *(c_size_t, c_int64, c_void_p, c_void_p),
        )
        self.lsn = self._declare(self._holding, "lsn", c_void_p, c_int, result=c_uint64)
        self.reserved_lsn = self._declare(self._holding, "reserved_lsn", c_void_p, result=c_uint64)
        self.wait = self._declare(self._releasing, "wait", c_void_p, c_uint64, c_int, c_int64)
        self.wait_any = self._declare(
            self._releasing, "wait_any", c_void_p, c_size_t, c_int64, c_void_p, c_uint32
        )
        self.wake = self._declare(self._holding, "wake", c_void_p, result=None)
        self.reader_open = self._declare(
            self._releasing, "reader_open", c_char_p, c_uint64, c_void_p
        )
        self.reader_next_batch = self._declare(
            self._releasing, "reader_next_batch", c_void_p, POINTER(Record), c_size_t
        )
        self.reader_wait = self._declare(self._releasing, "reader_wait", c_void_p, c_int64)
        self.reader_close = self._declare(self._releasing, "reader_close", c_void_p)
        self.get_status = self._declare(self._releasing, "get_status", c_char_p, POINTER(Status))
        self.error = self._declare(self._holding, "error", result=c_char_p)
        self.error_subject = self._declare(self._holding, "error_subject")
        self.version = self._declare(self._holding, "version", result=c_char_p)
        self._declare_fast()

    def _declare_fast(self) -> None:
        """src/python/python.h: functions and iterators that spare ctypes, in interpreters that are
        known well enough. Where `is_fast` is False they must not be called."""
        self.is_fast = False
        if not CPYTHON:
            return
        py_object = ctypes.py_object
        usable = self._declare(self._holding, "usable", py_object, prefix="duralog_python_")
        self.is_fast = usable(dict) == 1
        self.appender = self._declare(
            *(self._holding, "appender", py_object, c_void_p, py_object, c_uint32, c_int),
            result=py_object,
            prefix="duralog_python_",
        )
        self.iterator = self._declare(
            *(self._holding, "iterator", py_object, py_object, c_void_p, POINTER(Reading)),
            *(py_object, py_object, py_object),
            result=py_object,
            prefix="duralog_python_",
        )
        if self.is_fast:
            make_type = self._declare(
                self._holding, "iterator_type", result=py_object, prefix="duralog_python_"
            )
            self.iterator_type: type[Iterator[Any]] = make_type()

    @staticmethod
    def _declare(
        library: ctypes.CDLL,
        name: str,
        *arguments: Any,
        result: Any = c_int,
        prefix: str = "shmwal_",
    ) -> Callable[..., Any]:
        function = getattr(library, prefix + name)
        function.argtypes = arguments
        function.restype = result
        return function  # type: ignore[no-any-return]

    def sentence(self) -> str:
        """What this thread's last failed call has to say; to be asked at once."""
        text: bytes = self.error()
        return text.decode(errors="replace")


def _find() -> str:
    """See library()."""
    packaged = PACKAGE / "_native" / "libshmwal.so"
    built = PACKAGE.parent.parent / "build" / "libshmwal.so"
    for path in (packaged, built):
        if path.exists():
            return str(path)
    return "libshmwal.so.1"


@cache
def library() -> Library:
    """The library, loaded once a process. It is, in this order,

    1. the file that the environment's DURALOG_LIBRARY names,
    2. the one inside the installed package, which `pip install` has put there,
    3. build/libshmwal.so of the checkout that this package stands in,
    4. the system's libshmwal.so.1, wherever its loader finds it.

    Raises DuraLogConfigurationError if there is none or it does not fit.
    """
    name = os.environ.get("DURALOG_LIBRARY") or _find()
    try:
        loaded = Library(name)
    except (OSError, AttributeError) as error:
        raise DuraLogConfigurationError(
            f"libshmwal cannot be loaded: {error}; run `make` in the checkout, install the package "
            "with `pip install .`, or let the environment's DURALOG_LIBRARY name the file"
        ) from error
    version: bytes = loaded.version()
    if not version.startswith(b"1."):
        raise DuraLogConfigurationError(
            f"{name} is version {version.decode()}; this package needs 1.x: install both anew"
        )
    return loaded
