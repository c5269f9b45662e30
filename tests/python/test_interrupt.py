# SPDX-License-Identifier: MIT
"""Ctrl-C ends whatever waits. Knows the public package."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from duralog import DuraLog

SCRIPT = """
import sys
from duralog import DuraLog, DuraLogTimeoutError

log = DuraLog(sys.argv[1], ring_bytes=1 << 16, flusher=False)
lsn = log.append("never durable")
if "full" in sys.argv[2]:
    try:
        while True:
            log.append("filling", timeout=0)
    except DuraLogTimeoutError:
        pass
try:
    print("waiting", flush=True)
    {call}
except KeyboardInterrupt:
    log.durable_lsn
    print("interrupted", flush=True)
"""

CALLS = {
    "wait": "log.wait(lsn)",
    "sync": "log.sync()",
    "durable append": "log.append('x', level='durable')",
    "append to a full ring": "log.append('x')",
    "append_many to a full ring": "log.append_many('x' for _ in range(10))",
    "follow": "next(log.follow())",
}


def sleeps(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] == "S"


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_ends_it_and_the_handle_stays_usable(path: Path, name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    script = SCRIPT.replace("{call}", CALLS[name])
    with subprocess.Popen(
        [sys.executable, "-c", script, path, name], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        while not sleeps(process.pid):
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"interrupted\n"
    assert process.returncode == 0
    with DuraLog(path) as log:
        assert next(log.replay()) == "never durable"


HELD_UP = """
import ctypes, os, sys
from duralog import DuraLog

holder, log = DuraLog(sys.argv[1]), DuraLog(sys.argv[1])
slot = ctypes.create_string_buffer(256)
library = ctypes.CDLL(os.environ["DURALOG_LIBRARY"])
assert library.shmwal_reserve(holder._handle, ctypes.c_size_t(8), slot) == 0
lsn = log.append("behind an open reservation")
try:
    print("waiting", flush=True)
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert library.shmwal_discard(holder._handle, slot) == 0
"""


@pytest.mark.parametrize(
    "call",
    ["log.close()", "log.replay()", "log.sync()", "log.append_many(['x'], level='durable')"],
)
def test_ctrl_c_ends_a_wait_that_a_reservation_holds_up(path: Path, call: str) -> None:
    """While a flusher runs, which is what close and replay wait for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    with subprocess.Popen(
        [sys.executable, "-c", HELD_UP.replace("{call}", call), path],
        env=environment,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        while not sleeps(process.pid):
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"interrupted\n"
    assert process.returncode == 0
    with DuraLog(path) as log:
        assert next(log.replay()) == "behind an open reservation"
