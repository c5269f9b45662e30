# SPDX-License-Identifier: MIT
"""One log's directory in several containers, each with a /dev/shm of its own: what is used in one
of them is refused in the others, for as long as it is. They may take turns; what one of them left
in its ring is never written over what another one has made durable since.

A container is a mount namespace with another tmpfs on /dev/shm here. Knows the public package.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import HANG_S, environment, in_namespace, needs_root, run
from conftest import COMMAND, has_ended, rings_of
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


LEAVE = """
import os, sys
from duralog import DuraLog
log = DuraLog(sys.argv[1], flusher=False)
for number in range(int(sys.argv[2])):
    log.append(f"left {number}")
os._exit(0)
"""


def kill_flusher(path: Path) -> None:
    told = subprocess.run([COMMAND, "status", "--json", path], capture_output=True, check=True)
    flusher = json.loads(told.stdout)["flusher"]["pid"]
    os.kill(flusher, signal.SIGKILL)
    assert has_ended(flusher)


def leave(path: Path, records: int) -> None:
    """In the ring out here, which nobody serves."""
    assert run(LEAVE, path, records).returncode == 0


def give_up(path: Path) -> None:
    """What only the ring out here holds, as the error that it is in the way of says."""
    with pytest.raises(DuraLogSharedMemoryError, match="has gone on through another") as caught:
        DuraLog(path)
    assert rings_of(path) != []
    subprocess.run(["sh", "-c", "rm " + str(caught.value).split(": rm ")[1]], check=True)
    assert rings_of(path) == []


def records_of(path: Path) -> list[str]:
    done = subprocess.run([COMMAND, "cat", path], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


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
        kill_flusher(path)
        container = Container(path)
        lsn = log.append("behind what the container has made durable")
        with pytest.raises(DuraLogSharedMemoryError, match="another /dev/shm"):
            log.wait(lsn)
        with pytest.raises(DuraLogSharedMemoryError, match="another /dev/shm"):
            log.close()
    container.end()
    give_up(path)
    with DuraLog(path) as again:
        assert list(again.replay()) == ["outside", "inside", "inside, at its end"]


# ---- Turns ----

INSIDE = ["inside", "inside, at its end"]


def test_what_was_left_is_not_written_over_what_has_become_durable_since(path: Path) -> None:
    """More is left than the container then appends: its records lie where those are."""
    leave(path, 10)
    Container(path).end()
    with pytest.raises(DuraLogSharedMemoryError, match="the last 640 bytes"):
        DuraLog(path, flusher=False)
    give_up(path)
    with DuraLog(path) as again:
        assert list(again.replay()) == INSIDE


def test_what_was_left_and_is_on_disk_long_since_is_refused_as_well(path: Path) -> None:
    """Less is left: the disk ends beyond the ring."""
    leave(path, 1)
    Container(path).end()
    give_up(path)
    assert records_of(path) == INSIDE


def test_a_ring_that_the_log_has_gone_on_without_takes_nobody_in(path: Path) -> None:
    with DuraLog(path) as log:
        log.append("outside", level="durable", timeout=200)
        kill_flusher(path)
        Container(path).end()
        with pytest.raises(DuraLogSharedMemoryError, match="and open it again"):
            DuraLog(path)
    with DuraLog(path) as again:
        assert list(again.replay()) == ["outside", *INSIDE]


def test_a_ring_that_nobody_needs_makes_way(path: Path) -> None:
    """Readers see past it before."""
    with DuraLog(path) as log:
        log.append("outside", level="durable", timeout=200)
        kill_flusher(path)
    Container(path).end()
    assert rings_of(path) != []
    assert records_of(path) == ["outside", *INSIDE]
    with DuraLog(path) as again:
        again.append("outside again")
        assert list(again.replay()) == ["outside", *INSIDE, "outside again"]


def test_a_turn_in_which_nothing_was_written_takes_nothing(path: Path) -> None:
    leave(path, 10)
    opened = run(
        "import sys, duralog; duralog.DuraLog(sys.argv[1]).close()",
        path,
        wrapper=in_namespace("mount -t tmpfs tmpfs /dev/shm", after=f"{COMMAND} stop {path}"),
    )
    assert opened.returncode == 0, opened.stderr
    with DuraLog(path) as again:
        assert list(again.replay()) == [f"left {number}" for number in range(10)]


def test_a_ring_whose_lock_file_was_lost_goes_on(path: Path) -> None:
    leave(path, 10)
    (path / "lock").unlink()
    with DuraLog(path) as again:
        assert list(again.replay()) == [f"left {number}" for number in range(10)]
