# SPDX-License-Identifier: MIT
"""duralog create, and paths that cannot be a log.

Knows the command line's surface, and where meta has its version (src/format/format.h).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from programs import Cli, find_processes, find_rings


def test_create_makes_a_log_and_leaves_nothing_running(cli: Cli, log: Path) -> None:
    told = cli.ok("create", log, "--ring-bytes", "128K", "--segment-bytes", "1M").out
    assert str(log) in told
    assert "128 KiB" in told
    assert "1 MiB" in told
    assert find_rings(log) == []
    assert find_processes(log) == []
    (status,) = cli.ok("status", log, "--json")
    assert (status["ring_bytes"], status["segment_bytes"]) == (128 << 10, 1 << 20)
    assert status["state"] == "stopped"


def test_create_makes_missing_parents(cli: Cli, work: Path) -> None:
    cli.ok("create", work / "a/b/c")
    assert (work / "a/b/c/meta").is_file()


def test_create_on_a_log_changes_nothing(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    meta = (log / "meta").read_bytes()
    lsn = cli.append(log, "kept")
    assert "already" in cli.ok("create", log, "--ring-bytes", "1M").out
    assert (log / "meta").read_bytes() == meta
    assert cli.ok("cat", log, "--to", lsn).out == "kept\n"


def test_default_sizes(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    (status,) = cli.ok("status", log, "--json")
    assert (status["ring_bytes"], status["segment_bytes"]) == (32 << 20, 64 << 20)


def test_a_size_is_rounded_up_and_a_log_of_the_smallest_sizes_works(cli: Cli, log: Path) -> None:
    cli.ok("create", log, "--ring-bytes", "65536", "--segment-bytes", "65537")
    lines = [f"line {i:04}" for i in range(5000)]
    cli.append(log, *lines)
    assert cli.ok("cat", log).out.splitlines() == lines
    (status,) = cli.ok("status", log, "--json")
    assert (status["ring_bytes"], status["segment_bytes"]) == (65536, 69632)
    assert status["segments"] > 1  # type: ignore[operator]


def test_no_spares_may_be_asked_for_but_no_other_size_is_0(cli: Cli, log: Path) -> None:
    for option in ("--ring-bytes", "--segment-bytes"):
        assert cli("create", log, option, "0").status == 2
    cli.ok("create", log, "--spare-bytes", "0")
    (status,) = cli.ok("status", log, "--json")
    assert status["spares_kept"] == 0


def test_more_spares_than_are_kept_are_refused(cli: Cli, log: Path) -> None:
    refused = cli("create", log, "--segment-bytes", "64K", "--spare-bytes", "65M")
    assert refused.status == 2
    assert "1024" in refused.err
    assert not log.exists()


# ---- Paths that cannot be a log ------------------------------------------------------------------

READING = [
    ["cat"],
    ["follow"],
    ["follow", "--from", "0"],
    ["status"],
    ["verify"],
    ["fence"],
    ["stop"],
]
ALL = [["create"], ["append"], *READING]


def run_on(path: Path, command: list[str]) -> list[str | Path]:
    return [command[0], path, *command[1:]]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_missing_log_is_an_error_and_is_not_made(cli: Cli, log: Path, command: list[str]) -> None:
    assert str(log) in cli.fails(*run_on(log, command))
    assert not log.exists()


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_a_file_is_no_log(cli: Cli, log: Path, command: list[str]) -> None:
    log.write_text("precious")
    assert str(log) in cli.fails(*run_on(log, command), stdin="x\n")
    assert log.read_text() == "precious"


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_a_directory_of_other_things_is_no_log(cli: Cli, log: Path, command: list[str]) -> None:
    log.mkdir()
    (log / "precious").write_text("things")
    assert str(log) in cli.fails(*run_on(log, command), stdin="x\n")
    assert os.listdir(log) == ["precious"]


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_a_log_of_another_version_is_refused(cli: Cli, log: Path, command: list[str]) -> None:
    cli.ok("create", log)
    meta = bytearray((log / "meta").read_bytes())
    meta[16:20] = (99).to_bytes(4, "little")
    (log / "meta").write_bytes(meta)
    told = cli.fails(*run_on(log, command), stdin="x\n")
    assert str(log) in told
    assert "version" in told


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_a_damaged_meta_is_refused(cli: Cli, log: Path, command: list[str]) -> None:
    cli.ok("create", log)
    meta = bytearray((log / "meta").read_bytes())
    meta[50] ^= 1
    (log / "meta").write_bytes(meta)
    assert "meta" in cli.fails(*run_on(log, command), stdin="x\n")


def test_a_missing_meta_beside_segments_is_damage_and_not_a_new_log(cli: Cli, log: Path) -> None:
    cli.append(log, "kept")
    cli.ok("stop", log)
    meta = (log / "meta").read_bytes()
    (log / "meta").unlink()
    assert "meta" in cli.fails("append", log, stdin="x\n")
    (log / "meta").write_bytes(meta)
    assert cli.ok("cat", log).out == "kept\n"


def test_an_empty_directory_becomes_a_log(cli: Cli, log: Path) -> None:
    log.mkdir()
    cli.append(log, "x")
    assert cli.ok("cat", log).out == "x\n"


# ---- Somebody else's log -------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = 65534


@pytest.fixture
def foreign_log(cli: Cli, work: Path) -> Path:
    """A log of ours, in a directory that everybody may look into."""
    work.chmod(0o755)
    log = work / "app.log"
    cli.append(log, "private")
    cli.ok("stop", log)
    return log


@needs_root
@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_somebody_elses_log_is_refused(
    cli: Cli, foreign_log: Path, command: list[str], work: Path
) -> None:
    program = work / "duralog"
    shutil.copy(cli.program, program)
    stranger = Cli()
    stranger.program = str(program)
    told = stranger.fails(*run_on(foreign_log, command), stdin="x\n", user=NOBODY, group=NOBODY)
    assert str(foreign_log) in told
    assert cli.ok("cat", foreign_log).out == "private\n"
