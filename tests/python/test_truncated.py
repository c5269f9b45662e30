# SPDX-License-Identifier: MIT
"""Somebody truncates a log's ring in /dev/shm under a program: an exception, no SIGBUS, and all
that was durable is there. Knows the public package."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import ROOT, rings_of
from duralog import AsyncDuraLog, DuraLog, DuraLogError, DuraLogIOError, DuraLogSharedMemoryError


def truncate(path: Path) -> None:
    for name in rings_of(path):
        os.truncate(f"/dev/shm/{name}", 0)


def reopen(path: Path) -> DuraLog:
    """As soon as the flusher of the ring that was lost has come upon that, and ended."""
    while True:
        try:
            return DuraLog(path)
        except DuraLogIOError as error:
            assert error.errno == errno.EBUSY


def fails(work: Callable[[], Any]) -> DuraLogSharedMemoryError:
    with pytest.raises(DuraLogSharedMemoryError, match="was truncated in /dev/shm") as caught:
        work()
    assert caught.value.errno == errno.EIO
    return caught.value


def fails_to_close(log: DuraLog) -> None:
    """It cannot sync, and is closed."""
    fails(log.close)
    log.close()


@pytest.mark.parametrize("timeout", [None, 0, 5.0])
def test_append_raises_and_what_is_durable_stands(
    way: str, path: Path, timeout: float | None
) -> None:
    log = DuraLog(path)
    log.append("durable", level="durable")
    truncate(path)
    fails(lambda: log.append("lost", timeout=timeout))
    fails(lambda: log.append(b"lost" * 100_000, timeout=timeout))
    fails_to_close(log)
    with reopen(path) as again:
        again.append("behind")
        assert list(again.replay()) == ["durable", "behind"]


def test_append_many_raises(way: str, path: Path) -> None:
    log = DuraLog(path)
    log.append("durable", level="durable")
    truncate(path)
    error = fails(lambda: log.append_many(["lost"] * 3))
    assert error.appended == 0
    fails(log.sync)
    fails_to_close(log)
    with reopen(path) as again:
        assert list(again.replay()) == ["durable"]


def test_a_wait_that_has_begun_raises(idle: DuraLog) -> None:
    lsn = idle.append("lost")
    errors: list[DuraLogError] = []

    def wait() -> None:
        errors.append(fails(lambda: idle.wait(lsn)))

    thread = threading.Thread(target=wait)
    thread.start()
    truncate(Path(idle.path))
    thread.join()
    assert len(errors) == 1
    idle.close()


def test_a_follower_goes_on_with_the_next_ring(path: Path) -> None:
    log = DuraLog(path)
    log.append("durable", level="durable")
    found: list[Any] = []

    def follow() -> None:
        for record in log.follow(from_lsn=0):
            found.append(record)
            if record == "behind":
                return

    thread = threading.Thread(target=follow)
    thread.start()
    truncate(path)
    with reopen(path) as again:
        again.append("behind", level="durable")
        thread.join()
    assert found == ["durable", "behind"]
    fails_to_close(log)


@pytest.mark.parametrize("what", ["wait", "follow"])
def test_coroutines_that_wait_get_the_exception(path: Path, what: str) -> None:
    async def run() -> None:
        log = AsyncDuraLog(path, flusher=False)
        lsn = await log.append("lost")
        waits: dict[str, Callable[[], Awaitable[Any]]] = {
            "wait": lambda: log.wait(lsn),
            "follow": lambda: log.follow().__anext__(),
        }
        task = asyncio.ensure_future(waits[what]())
        await asyncio.sleep(0)
        truncate(path)
        with pytest.raises(DuraLogSharedMemoryError, match="was truncated in /dev/shm"):
            await task
        with pytest.raises(DuraLogSharedMemoryError):
            await log.append("lost")
        await log.close()

    asyncio.run(run())


FAULTHANDLER = """
import faulthandler, os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path.insert(0, sys.argv[3])
{before}
from duralog import DuraLog
log = DuraLog(sys.argv[1], flusher=False)
{behind}
os.truncate(sys.argv[2] + next(n for n in os.listdir(sys.argv[2]) if log.uuid.replace("-", "") in n
                               and n.endswith("ring")), 0)
try:
    log.append("lost")
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("when", ["before", "behind"])
def test_faulthandler_has_the_fault_only_if_it_was_enabled_later(path: Path, when: str) -> None:
    lines = {"before": "", "behind": "", when: "faulthandler.enable()"}
    command = [sys.executable, "-c", FAULTHANDLER.format(**lines), path, "/dev/shm/"]
    done = subprocess.run([*command, ROOT / "pyduralog"], capture_output=True, text=True)
    if when == "before":
        assert done.returncode == 0
        assert "was truncated" in done.stdout
    else:
        assert done.returncode == -signal.SIGBUS
        assert "Fatal Python error: Bus error" in done.stderr
