# SPDX-License-Identifier: MIT
"""Closing, with and without being asked to.

Knows the package's _native, to ask the library how many handles are attached.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import ROOT
from duralog import DuraLog, DuraLogClosedError, DuraLogTimeoutError, _native

pytestmark = pytest.mark.usefixtures("way")


def attached(path: Path) -> int:
    status = _native.Status(size=ctypes.sizeof(_native.Status))
    assert _native.library().get_status(os.fsencode(path), ctypes.byref(status)) == 0
    return int(status.attached)


def test_close_makes_all_durable_and_detaches(path: Path) -> None:
    log = DuraLog(path)
    lsn = log.append("record")
    with DuraLog(path) as other:
        assert attached(path) == 2
        log.close(timeout=60)
        assert other.durable_lsn >= lsn
        assert attached(path) == 1


def test_close_may_be_called_again(log: DuraLog) -> None:
    log.close()
    log.close(timeout=0)


@pytest.mark.parametrize(
    "use",
    [
        lambda log: log.append("x"),
        lambda log: log.append("x", level="durable"),
        lambda log: log.append("x", timeout=0),
        lambda log: log.append_many(["x"]),
        lambda log: log.append_many([]),
        lambda log: log.wait(0),
        lambda log: log.sync(),
        lambda log: log.follow(),
        lambda log: log.durable_lsn,
        lambda log: log.committed_lsn,
        lambda log: log.__enter__(),
    ],
)
def test_a_closed_handle_is_refused(log: DuraLog, use: Callable[[DuraLog], Any]) -> None:
    log.append("x")
    log.close()
    with pytest.raises(DuraLogClosedError, match="closed") as caught:
        use(log)
    assert isinstance(caught.value, ValueError)


def test_a_closed_handle_still_says_what_it_was(log: DuraLog) -> None:
    path, uuid = log.path, log.uuid
    assert repr(log) == f"<DuraLog {path!r}>"
    log.close()
    assert (log.path, log.uuid) == (path, uuid)
    assert repr(log) == f"<DuraLog {path!r}, closed>"


def test_a_with_statement_closes_also_behind_an_exception(path: Path) -> None:
    log = DuraLog(path)

    def fail_within() -> None:
        with log:
            log.append("record")
            raise LookupError

    with pytest.raises(LookupError):
        fail_within()
    with pytest.raises(DuraLogClosedError):
        log.sync()
    with DuraLog(path) as again:
        assert again.durable_lsn == again.committed_lsn > 0


def test_close_detaches_although_the_time_was_over(path: Path) -> None:
    """A reservation that nobody finishes holds back what is behind it."""
    library = ctypes.CDLL(os.environ["DURALOG_LIBRARY"])
    with DuraLog(path) as other:
        slot = ctypes.create_string_buffer(256)
        assert library.shmwal_reserve(other._handle, ctypes.c_size_t(8), slot) == 0
        log = DuraLog(path)
        log.append("behind it")
        with pytest.raises(DuraLogTimeoutError):
            log.close(timeout=0.05)
        assert attached(path) == 1
        with pytest.raises(DuraLogClosedError):
            log.sync()
        assert library.shmwal_discard(other._handle, slot) == 0
        assert list(other.replay()) == ["behind it"]


def test_close_without_a_flusher_does_not_wait(idle: DuraLog) -> None:
    idle.append("record")
    idle.close()
    with DuraLog(idle.path) as served:
        assert list(served.replay()) == ["record"]


def test_the_last_reference_detaches_and_loses_nothing(path: Path) -> None:
    with DuraLog(path) as other:
        log = DuraLog(path)
        log.append("record")
        del log
        gc.collect()
        assert attached(path) == 1
        assert list(other.replay()) == ["record"]


def test_a_cycle_is_collected(path: Path) -> None:
    class Holder:
        pass

    with DuraLog(path):
        holder = Holder()
        holder.log, holder.itself = DuraLog(path), holder  # type: ignore[attr-defined]
        del holder
        gc.collect()
        assert attached(path) == 1


IN_A_CYCLE = """
import gc, sys
from duralog import DuraLog, DuraLogClosedError, DuraLogConfigurationError, _native
if sys.argv[2] == "ctypes":
    _native.library().is_fast = False

class Service:
    def __init__(self, log):
        self.itself = self
        self.log = log or DuraLog(sys.argv[1])
        self.other = Other(self)
        self.replay = self.log.replay()

    def __del__(self):
        end(self)

class Other(Service):
    def __init__(self, service):
        self.service = service
    def __del__(self):
        end(self.service)

def end(service):
    try:
        service.log.append("bye")
        service.log.append_many(["bye"])
        list(service.replay)
        service.log.close()
        service.log = DuraLog(sys.argv[1])
        service.replay = service.log.replay()
        said.append("used")
    except (DuraLogClosedError, DuraLogConfigurationError):
        said.append("gone")

said = []
gc.disable()
logs = [DuraLog(sys.argv[1]), None] * 5
logs = [log and DuraLog(sys.argv[1]) for log in logs]
services = [Service(log) for log in logs]
del services, logs
gc.collect()
print(len(said), *sorted(set(said)))
"""


def test_finalizers_of_a_cycle_may_still_use_the_log(path: Path, way: str) -> None:
    """In whatever order they are called. By ctypes it may be gone already, but they are told."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CYCLE, path, way],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout == b"20 used\n" or (way == "ctypes" and done.stdout == b"20 gone used\n")


def test_an_iterator_never_begun_and_one_left_half_way_are_collected(log: DuraLog) -> None:
    log.append_many(["a", "b"])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        log.replay()
        next(log.replay())
        next(log.follow(from_lsn=0))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_failed_open_leaves_nothing_attached(path: Path) -> None:
    DuraLog(path).close()
    with DuraLog(path):
        for _ in range(3):
            with pytest.raises(TypeError):
                DuraLog(path, ring_bytes="1")  # type: ignore[arg-type]
        gc.collect()
        assert attached(path) == 1


def test_an_open_handle_and_a_waiting_thread_do_not_hold_up_the_exit(path: Path) -> None:
    script = """
import sys, threading
from duralog import DuraLog
log = DuraLog(sys.argv[1], flusher=False)
lsn = log.append("record")
begun = threading.Event()
def wait():
    begun.set()
    log.wait(lsn)
threading.Thread(target=wait, daemon=True).start()
begun.wait()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    done = subprocess.run(
        [sys.executable, "-c", script, path], env=environment, stderr=subprocess.PIPE, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, b"")
    with DuraLog(path) as log:
        assert list(log.replay()) == ["record"]


def test_an_error_that_was_handled_keeps_nothing_alive(log: DuraLog) -> None:
    """A cycle of an error and a frame would, and all that the frame holds, until collected."""
    log.close()
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(DuraLogClosedError):
            log.sync()
        assert gc.collect() == 0
    finally:
        gc.enable()
