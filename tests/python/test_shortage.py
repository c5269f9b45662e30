# SPDX-License-Identifier: MIT
"""What the flusher may run short of: it waits, says what for, and goes on by itself.

The limits are those of a flusher that runs, changed with prlimit. Knows the public package and
`duralog status`.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import run
from conftest import BUILD, stop
from duralog import DuraLog, DuraLogTimeoutError

SMALL = 1 << 16  # the smallest ring and the smallest segment
RECORD = b"x" * 1000


def status(path: Path) -> dict[str, object]:
    told = subprocess.run(
        [BUILD / "duralog", "status", "--json", path], check=True, capture_output=True, text=True
    )
    return dict(json.loads(told.stdout))


def flusher_of(path: Path) -> int:
    flusher = status(path)["flusher"]
    assert isinstance(flusher, dict)
    return int(flusher["pid"])


def await_shortage(path: Path) -> None:
    """Until the flusher has met it; nobody announces that."""
    while status(path)["device_error"] is None:
        time.sleep(0.01)


def fill(log: DuraLog) -> tuple[int, str]:
    """How many records found room in the ring, and why no more did."""
    count = 0
    with contextlib.suppress(DuraLogTimeoutError):
        while True:
            log.append(RECORD, timeout=0.5)
            count += 1
    await_shortage(Path(log.path))
    with pytest.raises(DuraLogTimeoutError) as caught:
        log.append(RECORD, timeout=0.05)
    return count, str(caught.value)


def small_log(path: Path) -> DuraLog:
    return DuraLog(path, ring_bytes=SMALL, segment_bytes=SMALL)


def set_soft(pid: int, limit: int, value: int) -> None:
    _, hard = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (hard if value < 0 else value, hard))


def expect_held_up_until(
    log: DuraLog, release: Callable[[], None], reason: str, *words: str
) -> None:
    """A full ring, sentences that tell why, and nothing lost when it goes on."""
    before = sum(1 for _ in log.replay())
    count, why = fill(log)
    for word in (reason, *words):
        assert word in why
    with pytest.raises(DuraLogTimeoutError, match="the flusher cannot write") as caught:
        log.sync(timeout=0.1)
    assert reason in str(caught.value)
    told = status(Path(log.path))
    assert (told["state"], told["device_error"]) == ("ok", reason)
    release()
    log.append(b"last", level="durable", timeout=200)
    assert sum(1 for _ in log.replay()) == before + count + 1
    assert status(Path(log.path))["device_error"] is None
    journal = (Path(log.path) / "flusher.log").read_text()
    assert f"writing goes on; it had waited: {reason}" in journal


@pytest.mark.parametrize("bytes_", [0, 4096, 3 << 13, SMALL - 1], ids=str)
def test_a_limit_on_the_size_of_files_is_back_pressure(path: Path, bytes_: int) -> None:
    """Whether it strikes in the middle of a segment or forbids the next one."""
    with small_log(path) as log:
        log.append(b"first", level="durable", timeout=200)
        flusher = flusher_of(path)
        set_soft(flusher, resource.RLIMIT_FSIZE, bytes_)
        expect_held_up_until(
            log,
            lambda: set_soft(flusher, resource.RLIMIT_FSIZE, -1),
            "File too large",
            "RLIMIT_FSIZE",
            "prlimit --fsize",
        )
        assert flusher_of(path) == flusher
    if bytes_ > 0:  # else flusher.log could not be written either
        assert f"files of {bytes_} bytes: RLIMIT_FSIZE" in (path / "flusher.log").read_text()


def test_a_limit_on_open_files_is_back_pressure(path: Path) -> None:
    with small_log(path) as log:
        log.append(b"first", level="durable", timeout=200)
        flusher = flusher_of(path)
        set_soft(flusher, resource.RLIMIT_NOFILE, 3)
        expect_held_up_until(
            log,
            lambda: set_soft(flusher, resource.RLIMIT_NOFILE, -1),
            "Too many open files",
            "RLIMIT_NOFILE",
        )
        assert flusher_of(path) == flusher


def test_status_names_the_limit(path: Path) -> None:
    with small_log(path) as log:
        flusher = flusher_of(path)
        set_soft(flusher, resource.RLIMIT_FSIZE, 0)
        fill(log)
        told = subprocess.run([BUILD / "duralog", "status", path], capture_output=True, text=True)
        assert "cannot write for now: File too large (the flusher's RLIMIT_FSIZE" in told.stdout
        set_soft(flusher, resource.RLIMIT_FSIZE, -1)
        log.sync(timeout=200)


def flush_under(path: Path, limit: int) -> subprocess.Popen[bytes]:
    """A flusher that serves, under a soft limit on the size of files."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    flusher = subprocess.Popen(
        [BUILD / "duralog-flusher", path],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)),
    )
    assert flusher.stderr is not None
    assert b"serving" in flusher.stderr.readline()
    return flusher


def test_a_flusher_that_takes_over_under_a_limit_waits_too(path: Path) -> None:
    """It must begin a new segment, since the one before it was killed, and cannot yet."""
    subprocess.run([BUILD / "duralog", "create", path, "--segment-bytes", "64K"], check=True)
    with DuraLog(path, flusher=False) as log:
        with flush_under(path, SMALL) as first:
            log.append(b"first", level="durable", timeout=200)
            first.kill()
        with flush_under(path, SMALL - 1) as second:
            log.append(b"second")
            await_shortage(path)
            with pytest.raises(DuraLogTimeoutError, match="RLIMIT_FSIZE"):
                log.sync(timeout=0.1)
            set_soft(second.pid, resource.RLIMIT_FSIZE, SMALL)
            log.sync(timeout=200)
            assert len(list(log.replay())) == 2
            second.terminate()


def test_a_hard_limit_of_the_starter_holds_its_flusher_up(path: Path) -> None:
    """It inherits the limit, and SIGXFSZ would kill it without a word."""
    DuraLog(path).close()
    stop(path)
    ring = DuraLog(path, flusher=False)  # making it needs a large file, too
    script = (
        "import os, resource, sys\n"
        "from duralog import DuraLog\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "DuraLog(sys.argv[1]).append('record')\n"
        "os._exit(0)\n"  # a close would wait for the flusher
    )
    done = run(script, path)
    assert (done.returncode, done.stderr) == (0, "")
    await_shortage(path)
    with pytest.raises(DuraLogTimeoutError, match="RLIMIT_FSIZE"):
        ring.sync(timeout=0.1)
    stop(path)
    with DuraLog(path) as log:
        log.sync(timeout=200)
        assert list(log.replay()) == ["record"]
    ring.close()


def test_a_flusher_does_not_live_under_its_starter_s_soft_limits(path: Path) -> None:
    """They were set for the starter alone; the flusher serves others, too."""
    DuraLog(path).close()
    stop(path)
    script = (
        "import resource, sys\n"
        "from duralog import DuraLog\n"
        "for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):\n"
        "    resource.setrlimit(limit, (1 << 27, resource.getrlimit(limit)[1]))\n"
        "DuraLog(sys.argv[1]).append(b'x', level='durable', timeout=200)\n"
    )
    done = run(script, path)
    assert (done.returncode, done.stderr) == (0, "")
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):
        assert resource.prlimit(flusher_of(path), limit) == (resource.getrlimit(limit)[1],) * 2
