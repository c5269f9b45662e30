# SPDX-License-Identifier: MIT
"""What the Python tests share: a place for logs, and the proof that nothing of them stays.

The build under test is the one that the environment's DURALOG_BUILD, or B, names. Knows where a log
keeps its UUID (src/format/format.h), that its ring's name holds it, and which functions of the
library the package may do without. Changes with those.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("DURALOG_BUILD", os.environ.get("B", "build"))
COMMAND = BUILD / "duralog"

# Before the first log is opened, here and in every child.
os.environ["DURALOG_LIBRARY"] = str(BUILD / "libshmwal.so")
sys.path.insert(0, str(ROOT / "pyduralog"))

from duralog import DuraLog, _native  # noqa: E402


def rings_of(log: Path) -> list[str]:
    uuid = (log / "meta").read_bytes()[32:48].hex()
    return [name for name in os.listdir("/dev/shm") if uuid in name]


def processes_at(place: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(place) in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def has_ended(pid: int) -> bool:
    """A flusher that was stopped lets go of its log first and ends then: not at once, but soon."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(descriptor, "rb", buffering=0) as ended:
        return bool(select.select([ended], [], [], 30)[0])


def stop(log: Path) -> None:
    subprocess.run([COMMAND, "stop", log], check=True, stdout=subprocess.DEVNULL)


def put_away(log: Path) -> None:
    """Ends the log's flusher. A ring that nobody served holds records that are not on the disk yet,
    and stays for their sake; so it is served once."""
    stop(log)
    if rings_of(log):
        DuraLog(log).close()
        stop(log)
    # A thread that is still in a call on a closed handle lets go of it, and of the ring, after it.
    deadline = time.monotonic() + 60
    while rings_of(log) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rings_of(log) == []


@contextlib.contextmanager
def passing_place() -> Iterator[Path]:
    """A directory for a while. Its handles are closed at the end: what they leave was leaked."""
    directory = Path(tempfile.mkdtemp(prefix="duralog-python-"))
    yield directory
    gc.collect()
    for meta in directory.rglob("meta"):
        if meta.is_file():
            put_away(meta.parent)
    shutil.rmtree(directory)
    assert all(map(has_ended, processes_at(directory)))


@pytest.fixture
def place() -> Iterator[Path]:
    with passing_place() as directory:
        yield directory


@pytest.fixture(scope="module")
def shared_log() -> Iterator[DuraLog]:
    """One log for all tests of a file, where a test looks only at what it has added."""
    with passing_place() as directory, DuraLog(directory / "app.log") as opened:
        yield opened


@pytest.fixture(params=["fast", "ctypes"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways that records go in and out of the library, for the handles that are opened next."""
    if request.param == "ctypes":
        monkeypatch.setattr(_native.library(), "is_fast", False)
    elif not _native.library().is_fast:
        pytest.skip("this interpreter has only the other way")
    return str(request.param)


@pytest.fixture
def path(place: Path) -> Path:
    """Where a log may be made; nothing is there yet."""
    return place / "app.log"


@pytest.fixture
def log(path: Path) -> Iterator[DuraLog]:
    with DuraLog(path) as opened:
        yield opened


@pytest.fixture
def idle(path: Path) -> Iterator[DuraLog]:
    """A log that no flusher serves: nothing becomes durable, and its small ring is soon full."""
    with DuraLog(path, ring_bytes=1 << 16, flusher=False) as opened:
        yield opened
