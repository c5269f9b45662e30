# SPDX-License-Identifier: MIT
"""duralog status and stop, and the flusher in the foreground.

Knows the command line's surface, and changes with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from programs import BUILD, HANG_S, Cli, Finished, Handle, end, find_processes, find_rings

KEYS = {
    *("path", "uuid", "state", "first_lsn", "durable_lsn", "committed_lsn", "ring_bytes"),
    *("segments", "bytes", "flusher", "oldest_reservation"),
}


def status_of(cli: Cli, log: Path) -> dict[str, Any]:
    (status,) = cli.ok("status", log, "--json")
    return status


def test_json_has_all_keys_while_a_flusher_runs(cli: Cli, log: Path, handle: Handle) -> None:
    lsn = cli.append(log, "x" * 1000)
    status = status_of(cli, log)
    assert status.keys() >= KEYS
    assert status["path"] == str(log)
    assert status["state"] == "ok"
    assert uuid.UUID(status["uuid"]).bytes == (log / "meta").read_bytes()[32:48]
    assert (status["first_lsn"], status["durable_lsn"], status["committed_lsn"]) == (0, lsn, lsn)
    assert status["segments"] == 1
    assert status["bytes"] >= 4096
    assert status["flusher"]["running"] is True
    assert find_processes(log) == [status["flusher"]["pid"]]
    assert status["oldest_reservation"] is None
    assert status["attached"] == 1


def test_a_log_without_a_flusher_is_stopped(cli: Cli, log: Path) -> None:
    lsn = cli.append(log, "x")
    cli.ok("stop", log)
    status = status_of(cli, log)
    assert status.keys() >= KEYS
    assert status["state"] == "stopped"
    assert status["flusher"] == {"running": False, "pid": None}
    assert (status["durable_lsn"], status["committed_lsn"]) == (lsn, lsn)


def test_spares_are_shown_as_they_come(cli: Cli, log: Path) -> None:
    cli.ok("create", log, "--segment-bytes", "64K", "--spare-bytes", "200K")
    status = status_of(cli, log)
    kept = ("spare_bytes", "spares_kept", "spares")
    assert [status[key] for key in kept] == [200 << 10, 4, 0]
    cli.append(log, "x")
    deadline = time.monotonic() + HANG_S
    while status_of(cli, log)["spares"] < 4:
        assert time.monotonic() < deadline
    assert "4 of 4 ready" in cli.ok("status", log).out
    cli.ok("stop", log)
    assert status_of(cli, log)["spares"] == 4
    cli.append(log, "y")
    assert cli.ok("cat", log).out == "x\ny\n"
    cli.ok("stop", log)
    assert cli.ok("cat", log, "--salvage").out == "x\ny\n"
    assert "intact" in cli.ok("verify", log).out


def test_the_oldest_reservation_is_named(cli: Cli, log: Path, handle: Handle) -> None:
    lsn = handle.append(b"before", 1)
    slot = handle.reserve(100)
    handle.append(b"behind", 1)
    handle.wait(lsn)
    status = status_of(cli, log)
    oldest = status["oldest_reservation"]
    assert oldest.keys() >= {"pid", "lsn", "age_ms", "alive"}
    assert oldest["inner_pid"] == os.getpid()
    assert oldest["pid_namespace"] == os.stat("/proc/self/ns/pid").st_ino
    assert (oldest["pid"], oldest["lsn"], oldest["alive"]) == (os.getpid(), lsn, True)
    assert oldest["age_ms"] >= 0
    assert status["committed_lsn"] == lsn < status["reserved_lsn"]
    told = cli.ok("status", log).out
    assert f"open at LSN {lsn}" in told
    assert f"process {os.getpid()}, which is alive" in told
    handle.discard(slot)
    cli.ok("append", log)
    assert status_of(cli, log)["oldest_reservation"] is None


def test_people_are_told_the_same(cli: Cli, log: Path) -> None:
    lsn = cli.append(log, "x")
    status = status_of(cli, log)
    told = cli.ok("status", log).out
    assert told.startswith(f"{log}\n")
    assert status["uuid"] in told
    assert f"durable {lsn}" in told
    assert "32 MiB" in told
    cli.ok("stop", log)
    assert "stopped, no flusher runs" in cli.ok("status", log).out


def test_it_changes_nothing_and_starts_nothing(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    before = {path: path.stat().st_mtime_ns for path in log.rglob("*")}
    for command in ("status", "cat", "verify"):
        cli.ok(command, log)
    assert {path: path.stat().st_mtime_ns for path in log.rglob("*")} == before
    assert find_rings(log) == []
    assert find_processes(log) == []


def test_the_path_is_absolute_and_always_valid_json(cli: Cli, work: Path) -> None:
    name = os.fsdecode(b'caf\xe9 "x".log')
    cli.ok("create", work / name)
    (status,) = cli.ok("status", name, "--json", cwd=work)
    assert status["path"] == f'{work}/caf? "x".log'


# ---- stop ----------------------------------------------------------------------------------------


def test_stop_drains(cli: Cli, log: Path) -> None:
    lines = [str(i) for i in range(1000)]
    given = "".join(f"{line}\n" for line in lines)
    lsn = int(cli.ok("append", log, "--level", "committed", stdin=given).out)
    told = cli.ok("stop", log).out
    assert "stopped" in told
    assert str(lsn) in told
    assert cli.ok("cat", log).out.splitlines() == lines
    assert find_rings(log) == []


def test_stop_where_no_flusher_runs_is_done(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    assert "no flusher runs" in cli.ok("stop", log).out


def test_stop_does_not_wait_longer_than_asked(cli: Cli, log: Path) -> None:
    cli.append(log, "x")
    pid = status_of(cli, log)["flusher"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        told = cli.fails("stop", log, "--timeout", "0.2")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "0.2 s" in told
    cli.ok("stop", log)


# ---- duralog-flusher -----------------------------------------------------------------------------


@pytest.fixture
def flusher(cli: Cli, log: Path) -> Any:
    """A flusher in the foreground, which says on stderr when it serves."""
    cli.ok("create", log)
    process = subprocess.Popen([BUILD / "duralog-flusher", log], stderr=subprocess.PIPE)
    assert process.stderr
    assert b"serving" in process.stderr.readline()
    yield process
    process.terminate()
    process.communicate(timeout=HANG_S)


def test_a_flusher_in_the_foreground_serves_and_sigterm_drains(
    cli: Cli, log: Path, flusher: subprocess.Popen[bytes]
) -> None:
    cli.ok("append", log, "--level", "committed", stdin="x\n")
    assert status_of(cli, log)["flusher"] == {"running": True, "pid": flusher.pid}
    done = end(flusher)
    assert done.status == 0, done
    assert cli.ok("cat", log).out == "x\n"


def test_stop_ends_a_flusher_in_the_foreground(
    cli: Cli, log: Path, flusher: subprocess.Popen[bytes]
) -> None:
    cli.ok("stop", log)
    flusher.communicate(timeout=HANG_S)
    assert flusher.returncode == 0


def test_there_is_one_flusher_a_log(cli: Cli, log: Path, flusher: subprocess.Popen[bytes]) -> None:
    second = subprocess.run([BUILD / "duralog-flusher", log], capture_output=True, timeout=HANG_S)
    told = Finished(second.returncode, second.stdout, second.stderr)
    assert told.status == 1, told
    assert told.err.startswith("duralog-flusher: "), told


def test_a_killed_flusher_loses_nothing(
    cli: Cli, log: Path, flusher: subprocess.Popen[bytes]
) -> None:
    flusher.send_signal(signal.SIGSTOP)
    cli.ok("append", log, "--level", "committed", stdin="in the ring\n")
    assert cli.ok("cat", log).out == ""
    flusher.kill()
    flusher.communicate(timeout=HANG_S)
    assert status_of(cli, log)["state"] == "stopped"
    cli.append(log, "later")
    assert cli.ok("cat", log).out == "in the ring\nlater\n"


def test_the_flusher_says_what_is_wrong_with_a_path(log: Path) -> None:
    done = subprocess.run([BUILD / "duralog-flusher", log], capture_output=True, timeout=HANG_S)
    assert done.returncode == 1
    assert done.stderr.startswith(b"duralog-flusher: ")
    assert os.fsencode(log) in done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace delays the process's end")
def test_stop_returns_when_the_process_has_ended(cli: Cli, log: Path) -> None:
    """Not when it has let go of the log, which it does some moments before."""
    cli.ok("create", log)
    strace = ("strace", "-qq", "-o", "/dev/null", "-e", "inject=exit_group:delay_enter=300000")
    command = [*strace, str(BUILD / "duralog-flusher"), str(log)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as flusher:
        while not (pid := status_of(cli, log)["flusher"]["pid"]):
            assert flusher.poll() is None
        cli.ok("stop", log)
        process = Path(f"/proc/{pid}/stat")
        assert not process.exists() or ") Z " in process.read_text()
