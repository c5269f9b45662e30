# SPDX-License-Identifier: MIT
"""One log's directory in several containers, each with a /dev/shm of its own: what is used in one
of them is refused in the others, for as long as it is. Otherwise the records of one would wait for
ever, and could later be written over what the other one holds to be durable.

A container is a mount namespace with another tmpfs on /dev/shm here. Knows the public package.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import HANG_S, environment, in_namespace, needs_root
from conftest import COMMAND, stop
from duralog import DuraLog, DuraLogSharedMemoryError

pytestmark = needs_root

HOLD = """
import sys
from duralog import DuraLog
log = DuraLog(sys.argv[1])
log.append("inside", level="durable", timeout=200)
print("serves", flush=True)
sys.stdin.read()
log.append("inside, at its end", level="durable", timeout=200)
log.close()
"""


class Container:
    """A process in a container, which has the log open until it is told to end; then it stops the
    flusher there."""

    def __init__(self, path: Path) -> None:
        wrapper = in_namespace(
            "mount -t tmpfs tmpfs /dev/shm", after=f"{COMMAND} stop {path} >/dev/null"
        )
        command = [*map(str, wrapper), sys.executable, "-c", HOLD, str(path)]
        self.process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"serves\n"

    def end(self) -> None:
        self.process.communicate(timeout=HANG_S)
        assert self.process.returncode == 0


@pytest.fixture
def container(path: Path) -> Iterator[Container]:
    made = Container(path)
    yield made
    made.end()


def test_a_log_in_use_elsewhere_is_refused_until_it_is_free(path: Path) -> None:
    container = Container(path)
    with pytest.raises(DuraLogSharedMemoryError, match="through another /dev/shm") as caught:
        DuraLog(path)
    assert "--ipc" in str(caught.value)
    container.end()
    with DuraLog(path) as log:
        log.append("outside")
        assert list(log.replay()) == ["inside", "inside, at its end", "outside"]


def test_who_starts_no_flusher_is_refused_as_well(path: Path, container: Container) -> None:
    with pytest.raises(DuraLogSharedMemoryError, match="another /dev/shm"):
        DuraLog(path, flusher=False)


def test_it_cannot_be_stopped_from_elsewhere_and_that_is_said(
    path: Path, container: Container
) -> None:
    done = subprocess.run([COMMAND, "stop", path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "another /dev/shm" in done.stderr


def test_a_handle_whose_flusher_died_learns_that_another_ring_is_served(path: Path) -> None:
    with DuraLog(path) as log:
        log.append("outside", level="durable", timeout=200)
        for process in Path("/proc").glob("[0-9]*"):
            command = (process / "cmdline").read_bytes().split(b"\0") if process.exists() else []
            if os.fsencode(path) in command and b"duralog-flusher" in command[0]:
                os.kill(int(process.name), signal.SIGKILL)
        container = Container(path)
        lsn = log.append("behind what the container has made durable")
        with pytest.raises(DuraLogSharedMemoryError, match="another /dev/shm"):
            log.wait(lsn)
        with pytest.raises(DuraLogSharedMemoryError, match="another /dev/shm"):
            log.close()
    container.end()
    for ring in Path("/dev/shm").glob(f"*{log.uuid.replace('-', '')}*"):
        ring.unlink()
    with DuraLog(path) as again:
        assert list(again.replay()) == ["outside", "inside", "inside, at its end"]


def test_a_ring_that_the_disk_has_left_behind_is_not_written_over_it(path: Path) -> None:
    """It was made before the container's, and nobody served it."""
    idle = DuraLog(path, flusher=False)
    Container(path).end()
    with pytest.raises(DuraLogSharedMemoryError, match="another ring was used meanwhile"):
        DuraLog(path)
    idle.close()
    stop(path)
    for ring in Path("/dev/shm").glob(f"*{idle.uuid.replace('-', '')}*"):
        ring.unlink()
    with DuraLog(path) as again:
        assert list(again.replay()) == ["inside", "inside, at its end"]
