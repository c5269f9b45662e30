# SPDX-License-Identifier: MIT
"""duralog fence: what it says, and its statuses. Whom it kills is tests/c/test_fence.c's.

Knows the command line's surface, and changes with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import HANG_S, Cli, Handle, is_sanitized

HOLD = """
import ctypes, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from programs import BUILD, Handle
library = ctypes.CDLL(str(BUILD / "libshmwal.so"))
handle = Handle(library, Path(sys.argv[2]))
slot = handle.reserve(100)
print("reserved", flush=True)
sys.stdin.read()
handle.discard(slot)
"""


@pytest.fixture
def holder(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a reservation open, and is stopped; it ends when its input does."""
    if is_sanitized():
        pytest.skip("a library with a sanitizer in it cannot be loaded by this program")
    command = [sys.executable, "-c", HOLD, str(Path(__file__).parent), str(log)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"reserved\n"
    os.kill(process.pid, signal.SIGSTOP)
    yield process
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=HANG_S)


def fence(cli: Cli, log: Path, *options: str) -> dict[str, Any]:
    (done,) = cli.ok("fence", log, "--json", *options)
    assert done.keys() == {"path", "done", "pid", "lsn", "age_ms", "filled"}
    return done


def test_it_kills_and_says_whom(
    cli: Cli, log: Path, handle: Handle, holder: subprocess.Popen[bytes]
) -> None:
    lsn = handle.append(b"behind", 1)
    told = cli.ok("fence", log, "--open-for", "0.05").out
    assert told.startswith(f"{log}: killed process {holder.pid}, which had LSN 0 open for ")
    assert told.endswith("; a filler is in its place\n")
    holder.communicate(timeout=HANG_S)
    assert holder.returncode == -signal.SIGKILL
    handle.wait(lsn)
    assert "nothing to fence" in cli.ok("fence", log).out


def test_scripts_are_told_the_same(cli: Cli, log: Path, holder: subprocess.Popen[bytes]) -> None:
    looked = fence(cli, log, "--open-for", "0", "--dry-run")
    assert (looked["done"], looked["pid"], looked["lsn"]) == ("alive", holder.pid, 0)
    assert looked["filled"] is False
    done = fence(cli, log, "--open-for", "0")
    assert (done["done"], done["pid"], done["filled"]) == ("killed", holder.pid, True)
    holder.communicate(timeout=HANG_S)
    done = fence(cli, log)
    assert (done["done"], done["pid"], done["filled"]) == ("nothing", None, False)


def test_a_dry_run_kills_nobody(
    cli: Cli, log: Path, handle: Handle, holder: subprocess.Popen[bytes]
) -> None:
    lsn = handle.append(b"behind", 1)
    told = cli.ok("fence", log, "--open-for", "0", "--dry-run").out
    assert f"process {holder.pid} has LSN 0 open for " in told
    assert "without --dry-run it is killed" in told
    os.kill(holder.pid, signal.SIGCONT)
    holder.communicate(timeout=HANG_S)
    assert holder.returncode == 0
    handle.wait(lsn)


def test_what_goes_on_in_time_is_let_be(
    cli: Cli, log: Path, holder: subprocess.Popen[bytes]
) -> None:
    with cli.start("fence", log, "--open-for", "3600") as patient:
        os.kill(holder.pid, signal.SIGCONT)
        out, _ = holder.communicate(timeout=HANG_S)
        assert holder.returncode == 0
        out, err = patient.communicate(timeout=HANG_S)
    assert b"nothing to fence: no reservation has been open for 3600 s" in out
    assert (patient.returncode, err) == (0, b"")


def test_it_does_not_wait_longer_than_asked_for_the_filler(
    cli: Cli, log: Path, holder: subprocess.Popen[bytes]
) -> None:
    (status,) = cli.ok("status", log, "--json")
    flusher = status["flusher"]["pid"]
    os.kill(flusher, signal.SIGSTOP)
    try:
        told = cli.fails("fence", log, "--open-for", "0", "--timeout", "0.2")
    finally:
        os.kill(flusher, signal.SIGCONT)
    assert "is not filled yet" in told
    holder.communicate(timeout=HANG_S)
    assert holder.returncode == -signal.SIGKILL
