# SPDX-License-Identifier: MIT
"""Help, version, and wrong usage.

Knows the command line's surface, and changes with it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from programs import BUILD, ROOT, Cli

COMMANDS = ["create", "append", "import", "cat", "follow", "status", "verify", "fence", "stop"]


def test_help_names_all_commands_and_gives_examples(cli: Cli) -> None:
    told = cli.ok("--help").out
    assert all(f"  {command} " in told for command in COMMANDS)
    assert "duralog append /tmp/try.log" in told
    assert cli.ok("help").out == told
    assert cli.ok("-h").out == told


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_teaches_it(cli: Cli, command: str) -> None:
    told = cli.ok(command, "--help").out
    first = "FILE LOG" if command == "import" else "LOG"
    assert told.startswith(f"Usage: duralog {command} {first}")
    assert "\nExample" in told
    assert max(map(len, told.splitlines())) <= 100
    assert cli.ok("help", command).out == told


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_manual_know_the_same_options(cli: Cli, command: str) -> None:
    manual = (ROOT / "tools/man/duralog.1.scd").read_text()
    synopsis = next(line for line in manual.splitlines() if line.startswith(f"*duralog {command}*"))
    usage = cli.ok(command, "--help").out.split("\n\n")[0]
    for option in [word.strip("[]") for word in usage.split() if word.startswith("[--")]:
        assert f"*{option}*" in synopsis


def test_version(cli: Cli) -> None:
    assert cli.ok("--version").out.startswith("duralog 1.")


def test_flusher_has_help_version_and_wrong_usage() -> None:
    flusher = BUILD / "duralog-flusher"
    told = subprocess.run([flusher, "--help"], capture_output=True, text=True)
    assert (told.returncode, "LOG" in told.stdout, told.stderr) == (0, True, "")
    assert subprocess.run([flusher, "--version"], capture_output=True).returncode == 0
    assert subprocess.run([flusher], capture_output=True).returncode == 2
    assert subprocess.run([flusher, "--nonsense", "x"], capture_output=True).returncode == 2


def test_no_command_is_wrong_usage(cli: Cli) -> None:
    assert "append" in cli.misused()


@pytest.mark.parametrize("word", ["fly", "", "--frobnicate", "Append"])
def test_an_unknown_command_is_wrong_usage(cli: Cli, word: str) -> None:
    assert "duralog --help" in cli.misused(word)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["LOG", "one", "too-many"],
        ["LOG", "--nonsense"],
        ["LOG", "-x"],
        ["LOG", "--help=1"],
    ],
    ids=str,
)
def test_wrong_arguments_of_a_command(
    cli: Cli, work: Path, command: str, arguments: list[str]
) -> None:
    given = [word.replace("LOG", str(work / "log")) for word in arguments]
    assert f"duralog {command} --help" in cli.misused(command, *given)
    assert not (work / "log").exists()


@pytest.mark.parametrize(
    "line",
    [
        "create LOG --ring-bytes",
        "create LOG --ring-bytes many",
        "create LOG --ring-bytes -1",
        "create LOG --ring-bytes 0",
        "create LOG --ring-bytes 1T",
        "create LOG --ring-bytes 1KB",
        "create LOG --ring-bytes 1.5M",
        "create LOG --ring-bytes 99999999999999999999",
        "create LOG --ring-bytes 99999999999G",
        "create LOG --ring-bytes 1K",
        "create LOG --ring-bytes 65G",
        "create LOG --segment-bytes 4K",
        "create LOG --segment-bytes 65G",
        "append LOG --type xml",
        "append LOG --level replicated",
        "append LOG --timeout -1",
        "append LOG --timeout soon",
        "append LOG --timeout 1.2.3",
        "append LOG --timeout .",
        "append LOG --timeout nan",
        "append LOG --timeout 1e3",
        "append LOG --timeout 99999999999",
        "cat LOG --from -1",
        "cat LOG --from 0x10",
        "cat LOG --from 18446744073709551616",
        "cat LOG --to end",
        "cat LOG --from 128 --to 64",
        "cat LOG --json=yes",
        "follow LOG --from -64",
        "follow LOG --to 64",
        "stop LOG --timeout x",
        "fence",
        "fence LOG --open-for x",
        "import LOG",
        "import FILE LOG --level replicated",
        "import FILE LOG --from -1",
        "import FILE LOG --timeout x",
        "status LOG --from 0",
    ],
)
def test_bad_values_are_wrong_usage_and_make_nothing(cli: Cli, work: Path, line: str) -> None:
    given = [word.replace("LOG", str(work / "log")) for word in line.split()]
    cli.misused(*given)
    assert not (work / "log").exists()


def test_an_option_may_stand_before_the_log_and_a_log_may_begin_with_a_dash(
    cli: Cli, work: Path
) -> None:
    cli.ok("append", "--type", "text", "--", "-log", stdin="x\n", cwd=work)
    assert cli.ok("cat", "--json", "--", "-log", cwd=work).out.startswith('{"lsn": ')


FLUSHER = ROOT / BUILD / "duralog-flusher"


@pytest.mark.parametrize(
    "arguments",
    [["--numa-node", "many", "LOG"], ["--numa-node", "-1", "LOG"], ["LOG", "ANOTHER"], []],
)
def test_flusher_refuses_arguments_that_mean_nothing(arguments: list[str]) -> None:
    done = subprocess.run([FLUSHER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(("duralog-flusher: ", f"{FLUSHER}: "))


def test_flusher_refuses_a_numa_node_that_is_not_there(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    command = [FLUSHER, "--numa-node", "4095", log]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    no_support = "no NUMA support" in done.stderr
    assert no_support or (done.returncode == 1 and "this machine has nodes 0 to" in done.stderr)
