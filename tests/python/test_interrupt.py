# SPDX-License-Identifier: MIT
"""Ctrl-C ends whatever waits. Knows the public package."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
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


OPENING = """
import sys
from duralog import DuraLog

try:
    print("waiting", flush=True)
    DuraLog(sys.argv[1])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""

# A wait starts another flusher in place of the one that was killed.
REVIVING = """
import os, signal, sys
from pathlib import Path
from conftest import processes_at
from duralog import DuraLog

hangs = os.environ.pop("DURALOG_FLUSHER")
log = DuraLog(sys.argv[1])
for pid in processes_at(Path(sys.argv[1])):
    if pid != os.getpid():
        os.kill(pid, signal.SIGKILL)
os.environ["DURALOG_FLUSHER"] = hangs
lsn = log.append("behind the killed one")
try:
    print("waiting", flush=True)
    log.wait(lsn)
except KeyboardInterrupt:
    print("interrupted", flush=True)
os._exit(0)
"""


START_TIMEOUT_S = 60  # after which who starts a flusher gives up: src/producer/launch.c


def hanging_flusher(directory: Path) -> Path:
    """Writes its process into `directory`/pid."""
    program = directory / "hangs"
    program.write_text(
        f'#!/bin/sh\necho $$ > "{directory}/new"\nmv "{directory}/new" "{directory}/pid"\n'
        "exec sleep 1000\n"
    )
    program.chmod(0o700)
    return program


@pytest.mark.parametrize(("script", "crowd"), [(OPENING, 1), (OPENING, 2), (REVIVING, 1)])
def test_ctrl_c_ends_it_where_no_flusher_comes(
    path: Path, tmp_path: Path, script: str, crowd: int
) -> None:
    """The second of two that open waits for the first one's start of a flusher."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'pyduralog'}:{ROOT / 'tests/python'}",
        "DURALOG_FLUSHER": str(hanging_flusher(tmp_path)),
    }
    begin = time.monotonic()
    with contextlib.ExitStack() as started:
        waiting = [
            started.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", script, path], env=environment, stdout=subprocess.PIPE
                )
            )
            for _ in range(crowd)
        ]
        started.callback(lambda: [process.kill() for process in waiting])
        while not (tmp_path / "pid").exists():
            assert all(process.poll() is None for process in waiting)
            os.sched_yield()
        started.callback(os.kill, int((tmp_path / "pid").read_text()), signal.SIGKILL)
        for process in waiting:
            assert process.stdout is not None
            assert process.stdout.readline() == b"waiting\n"
            while not sleeps(process.pid):
                os.sched_yield()
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == b"interrupted\n"
            assert process.wait() == 0
    assert time.monotonic() - begin < START_TIMEOUT_S  # it was the signal, not that
    with DuraLog(path) as log:
        log.append("after all")
        log.sync()


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
