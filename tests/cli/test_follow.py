# SPDX-License-Identifier: MIT
"""duralog follow: records as they come, and how it ends.

Knows the command line's surface, and changes with it.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import HANG_S, Cli, end

Follow = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def follow(cli: Cli, log: Path) -> Iterator[Follow]:
    """Starts a `duralog follow`; afterwards it is there no more, whatever the test did."""
    started = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(cli.start("follow", log, *arguments, bufsize=0))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    assert select.select([process.stdout], [], [], HANG_S)[0], "nothing came"
    return process.stdout.readline()


def test_from_0_begins_with_the_beginning_and_goes_on(cli: Cli, log: Path, follow: Follow) -> None:
    cli.append(log, "one")
    process = follow("--from", "0")
    assert read_line(process) == b"one\n"
    for line in (b"two\n", b"three\n"):
        cli.append(log, line[:-1])
        assert read_line(process) == line


def test_from_an_lsn(cli: Cli, log: Path, follow: Follow) -> None:
    lsn = cli.append(log, "one")
    cli.append(log, "two")
    assert read_line(follow("--from", str(lsn))) == b"two\n"


def test_json_looks_as_cats(cli: Cli, log: Path, follow: Follow) -> None:
    cli.append(log, '{"a": 1}', kind="json")
    assert read_line(follow("--from", "0", "--json")) == cli.ok("cat", log, "--json").bytes


def test_it_begins_with_what_comes_next(cli: Cli, log: Path, follow: Follow) -> None:
    cli.append(log, "before")
    process = follow()
    assert process.stdout
    appended = 0
    while not select.select([process.stdout], [], [], 0)[0]:  # it tells not when it has begun
        cli.append(log, str(appended))
        appended += 1
    first = int(read_line(process))
    assert 0 <= first < appended
    cli.append(log, "last")
    rest = [read_line(process) for _ in range(appended - first)]
    assert rest == [b"%d\n" % i for i in range(first + 1, appended)] + [b"last\n"]


def test_several_follow_several(cli: Cli, log: Path, follow: Follow) -> None:
    cli.ok("create", log)
    followers = [follow("--from", "0", "--json") for _ in range(2)]
    writers = [cli.start("append", log, stdin=subprocess.PIPE) for _ in range(3)]
    for name, writer in enumerate(writers):
        assert writer.stdin
        writer.stdin.write(b"".join(b"%d %d\n" % (name, i) for i in range(500)))
        writer.stdin.close()
        writer.stdin = None
    assert [writer.communicate(timeout=HANG_S)[1] for writer in writers] == [b""] * 3
    seen = [[json.loads(read_line(one)) for _ in range(1500)] for one in followers]
    assert seen[0] == seen[1] == list(cli.ok("cat", log, "--json"))


def test_it_goes_on_over_a_restart_of_the_flusher(cli: Cli, log: Path, follow: Follow) -> None:
    cli.append(log, "one")
    process = follow("--from", "0")
    assert read_line(process) == b"one\n"
    for line in (b"two\n", b"three\n"):
        cli.ok("stop", log)
        cli.append(log, line[:-1])
        assert read_line(process) == line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(
    cli: Cli, log: Path, follow: Follow, number: signal.Signals
) -> None:
    cli.append(log, "one")
    process = follow("--from", "0")
    assert read_line(process) == b"one\n"
    done = end(process, number)
    assert (done.status, done.bytes, done.err) == (0, b"", "")


def test_it_ends_when_its_reader_goes_away_though_nothing_comes(
    cli: Cli, log: Path, follow: Follow
) -> None:
    cli.append(log, "one")
    process = follow("--from", "0")
    assert read_line(process) == b"one\n"
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(HANG_S) == 0
    assert process.stderr.read() == b""
    process.stdout = None


def test_beyond_the_end_is_an_error(cli: Cli, log: Path) -> None:
    lsn = cli.append(log, "one")
    assert str(lsn + 64) in cli.fails("follow", log, "--from", lsn + 64)
