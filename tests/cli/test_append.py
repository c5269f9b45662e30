# SPDX-License-Identifier: MIT
"""duralog append: what becomes a record, what is refused, and what is waited for.

Knows the command line's surface, and that records take multiples of 64 bytes.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from programs import HANG_S, Cli, Finished, Handle, end


def test_lines_become_records_in_order(cli: Cli, log: Path) -> None:
    lsn = cli.append(log, "one", "two", "three")
    assert cli.ok("cat", log).out == "one\ntwo\nthree\n"
    assert cli.append(log, "four") > lsn
    assert cli.ok("cat", log, "--from", lsn).out == "four\n"


def test_it_prints_the_last_lsn_and_nothing_else(cli: Cli, log: Path) -> None:
    done = cli.ok("append", log, stdin="a\nb\n")
    assert done.err == ""
    *_, last = cli.ok("cat", log, "--json")
    assert done.out == f"{last['lsn']}\n"


def test_a_file_and_a_dash(cli: Cli, log: Path, work: Path) -> None:
    (work / "input").write_text("from a file\n")
    cli.ok("append", log, work / "input")
    cli.ok("append", log, "-", stdin="from stdin\n")
    assert cli.ok("cat", log).out == "from a file\nfrom stdin\n"


def test_a_missing_input_file_makes_no_log(cli: Cli, log: Path, work: Path) -> None:
    assert "cannot open" in cli.fails("append", log, work / "nothing")
    assert not log.exists()


def test_an_input_that_cannot_be_read(cli: Cli, log: Path, work: Path) -> None:
    assert "cannot read" in cli.fails("append", log, work)


def test_a_last_line_without_newline_counts(cli: Cli, log: Path) -> None:
    cli.ok("append", log, stdin="a\nb")
    assert cli.ok("cat", log).out == "a\nb\n"


def test_empty_lines_are_empty_records(cli: Cli, log: Path) -> None:
    cli.ok("append", log, stdin="\n\nx\n\n")
    assert [record["data"] for record in cli.ok("cat", log, "--json")] == ["", "", "x", ""]


def test_empty_input_tells_where_the_log_ends(cli: Cli, log: Path) -> None:
    assert cli.ok("append", log).out == "0\n"
    lsn = cli.append(log, "x")
    assert cli.ok("append", log).out == f"{lsn}\n"
    assert cli.ok("cat", log).out == "x\n"


def test_lines_of_every_length_around_the_buffers_sizes(cli: Cli, log: Path) -> None:
    lengths = [0, 1, 47, 48, 49, 4095, 4096, 65535, 65536, 1 << 20, (1 << 20) + 1, 3 << 20]
    lines = ["x" * length for length in lengths]
    cli.append(log, *lines)
    assert [len(line) for line in cli.ok("cat", log).out.splitlines()] == lengths


def test_many_short_lines_keep_their_order(cli: Cli, log: Path) -> None:
    given = "".join(f"{i}\n" for i in range(200_000))
    cli.ok("append", log, stdin=given)
    assert cli.ok("cat", log).out == given


def test_a_line_larger_than_the_ring_is_refused_and_those_before_it_stay(
    cli: Cli, log: Path
) -> None:
    cli.ok("create", log, "--ring-bytes", "64K")
    for length in (60_000, 2_000_000, 20_000_000):
        told = cli.fails("append", log, stdin=f"before\n{'x' * length}\nafter\n")
        assert "line 2" in told
        assert "the line before it is in the log" in told
    assert cli.ok("cat", log).out == "before\n" * 3


def test_bytes_are_taken_as_they_are(cli: Cli, log: Path) -> None:
    line = bytes(byte for byte in range(256) if byte != 10)
    cli.append(log, line, b"\r", kind="bytes")
    assert cli.ok("cat", log).bytes == line + b"\n\r\n"


# ---- What does not fit the type ------------------------------------------------------------------

NO_TEXT = [b"\xff", b"abc\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x28\xa1"]
NO_JSON = [
    *NO_TEXT,
    *(b"", b" ", b"hello", b"{", b"}", b'{"a":1,}', b"[1,]", b"1 2", b"{} {}", b"'a'", b"nul"),
    *(b"NaN", b"01", b"1.", b"+1", b'"open', b'"\x01"', b"[1]/* c */", b'1"', b"\x0b1", b"{a:1}"),
    *(b'"\\x"', b'["\xed\xa0\x80"]', b"\xef\xbb\xbf1", b"\x00", b'{"a" 1}', b'"a" "'),
]
REAL_JSON = [
    *(b"0", b"-0.5e-3", b"123456789012345678901234567890", b"1.00", b"true", b"null", b'""'),
    *(b"[]", b"{}", b' {"a": [1, 2, {"b": null}]} ', b'"\\u00e9\\n"', '"é€𝄞"'.encode()),
    *(b"[" * 500 + b"]" * 500, b'{"a":1,"a":2}', b"\t[1]\r"),
]


@pytest.mark.parametrize("line", NO_TEXT, ids=repr)
def test_a_line_that_is_not_utf8_is_refused(cli: Cli, log: Path, line: bytes) -> None:
    told = cli.fails("append", log, stdin=b"one\ntwo\n" + line + b"\nfour\n")
    assert "line 3" in told
    assert "not UTF-8" in told
    assert "the 2 lines before it" in told
    assert cli.ok("cat", log).out == "one\ntwo\n"


@pytest.mark.parametrize("line", NO_JSON, ids=repr)
def test_a_line_that_is_no_json_is_refused(cli: Cli, log: Path, line: bytes) -> None:
    told = cli.fails("append", log, "--type", "json", stdin=b"1\n2\n" + line + b"\n4\n")
    assert "line 3" in told
    assert "not JSON" in told
    assert "the 2 lines before it" in told
    assert cli.ok("cat", log).out == "1\n2\n"


def test_json_is_taken_and_given_back_digit_by_digit(cli: Cli, log: Path) -> None:
    cli.append(log, *REAL_JSON, kind="json")
    assert cli.ok("cat", log).bytes.split(b"\n")[:-1] == REAL_JSON
    shown = cli.ok("cat", log, "--json").bytes.splitlines()
    for line, value in zip(shown, REAL_JSON, strict=True):
        assert value.replace(b"\r", b" ") in line
        assert json.loads(line)["data"] == json.loads(value)


def test_a_bad_first_line_appends_nothing(cli: Cli, log: Path) -> None:
    assert "nothing was appended" in cli.fails("append", log, stdin=b"\xff\nx\n")
    assert cli.ok("cat", log).out == ""


def test_those_before_a_bad_line_are_durable(cli: Cli, log: Path) -> None:
    cli.fails("append", log, stdin=b"kept\n\xff\n")
    (status,) = cli.ok("status", log, "--json")
    assert status["durable_lsn"] == status["committed_lsn"] == 64


# ---- Waiting -------------------------------------------------------------------------------------


def test_level_committed_is_in_the_log_and_becomes_durable(cli: Cli, log: Path) -> None:
    lsn = int(cli.ok("append", log, "--level", "committed", stdin="x\n").out)
    assert int(cli.ok("append", log).out) == lsn  # waits for all that was appended
    assert cli.ok("cat", log).out == "x\n"


def test_durability_is_not_waited_for_longer_than_asked(
    cli: Cli, log: Path, handle: Handle
) -> None:
    slot = handle.reserve(10)  # holds back all behind it
    told = cli.fails("append", log, "--timeout", "0.2", stdin="x\n")
    assert "0.2 s" in told
    assert "in the log" in told
    handle.discard(slot)
    cli.ok("append", log)
    assert cli.ok("cat", log).out == "x\n"


def test_timeout_0_does_not_wait(cli: Cli, log: Path, handle: Handle) -> None:
    slot = handle.reserve(10)
    assert "in the log" in cli.fails("append", log, "--timeout", "0", stdin="x\n")
    handle.discard(slot)


def test_room_is_not_waited_for_longer_than_asked(cli: Cli, log: Path) -> None:
    cli.ok("create", log, "--ring-bytes", "64K")
    holder = subprocess.Popen([cli.program, "append", log], stdin=subprocess.PIPE)
    assert holder.stdin
    try:
        wait_for_flusher(cli, log)
        pid = flusher_pid(cli, log)
        os.kill(pid, signal.SIGSTOP)
        try:
            lines = "".join(f"{i:1000}\n" for i in range(200))
            told = cli.fails("append", log, "--timeout", "0.5", stdin=lines)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert "the ring had no room for 0.5 s" in told
        assert "before it are in the log" in told
        cli.ok("append", log)
        kept = cli.ok("cat", log).out.splitlines()
        assert f"the {len(kept)} lines before it" in told
        assert kept == [f"{i:1000}" for i in range(len(kept))]
    finally:
        holder.stdin.close()
        assert holder.wait(HANG_S) == 0


def flusher_pid(cli: Cli, log: Path) -> int:
    (status,) = cli.ok("status", log, "--json")
    flusher = status["flusher"]
    assert isinstance(flusher, dict)
    return int(flusher["pid"] or 0)


def wait_for_flusher(cli: Cli, log: Path) -> None:
    """A second append does not return before a flusher serves."""
    cli.ok("append", log)


def test_several_at_once_share_the_log(cli: Cli, log: Path) -> None:
    writers = [cli.start("append", log, stdin=subprocess.PIPE) for _ in range(4)]
    for name, writer in enumerate(writers):
        assert writer.stdin
        writer.stdin.write(b"".join(b"%d %d\n" % (name, i) for i in range(2000)))
        writer.stdin.close()
        writer.stdin = None
    for writer in writers:
        out, err = writer.communicate(timeout=HANG_S)
        assert (writer.returncode, err) == (0, b""), Finished(writer.returncode, out, err)
    found = [tuple(map(int, line.split())) for line in cli.ok("cat", log).out.splitlines()]
    for name in range(4):
        assert [i for writer, i in found if writer == name] == list(range(2000))


# ---- Interactive input, signals, descriptors -----------------------------------------------------


def test_a_slow_input_is_appended_as_it_comes(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    follower = cli.start("follow", log, "--from", "0")
    writer = cli.start("append", log, stdin=subprocess.PIPE, bufsize=0)
    assert writer.stdin
    assert follower.stdout
    for line in (b"first\n", b"second\n"):
        writer.stdin.write(line)
        assert follower.stdout.readline() == line  # before the input has ended
    writer.stdin.close()
    writer.stdin = None
    assert writer.communicate(timeout=HANG_S)[1] == b""
    assert end(follower).status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_appended_and_says_so(
    cli: Cli, log: Path, number: signal.Signals
) -> None:
    cli.ok("create", log)
    follower = cli.start("follow", log, "--from", "0")
    writer = cli.start("append", log, stdin=subprocess.PIPE, bufsize=0)
    assert writer.stdin
    assert follower.stdout
    writer.stdin.write(b"kept\nunfinished")
    assert follower.stdout.readline() == b"kept\n"
    done = end(writer, number)
    assert done.status == 1
    assert "interrupted; the line before it is in the log" in done.err
    assert end(follower).status == 0
    assert cli.ok("cat", log).out == "kept\n"


def test_progress_shows_on_a_terminal_only(cli: Cli, log: Path) -> None:
    """On a terminal the line is wiped in the end; in a pipe there is none."""
    leader, follower = pty.openpty()
    slow = subprocess.Popen(
        [cli.program, "append", log], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=follower
    )
    os.close(follower)
    assert slow.stdin
    assert slow.stdout
    seen = b""
    while b"records" not in seen:  # until it shows: it does so as lines keep coming
        slow.stdin.write(b"x" * 100 + b"\n")
        slow.stdin.flush()
        os.set_blocking(leader, False)
        try:
            seen += os.read(leader, 4096)
        except BlockingIOError:
            continue
    slow.stdin.close()
    os.set_blocking(leader, True)
    try:
        while chunk := os.read(leader, 4096):
            seen += chunk
    except OSError:  # how a terminal tells that nobody writes to it any more
        pass
    os.close(leader)
    assert slow.wait(HANG_S) == 0
    assert seen.endswith(b"\r\x1b[K")


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_a_closed_descriptor_harms_no_log(cli: Cli, log: Path, descriptor: int) -> None:
    cli.append(log, "kept")
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" append "$1" {descriptor}>&-', cli.program, log],
        input=b"more\n" if descriptor else None,
        capture_output=True,
        timeout=HANG_S,
    )
    assert done.returncode == (0 if descriptor == 2 else 1)
    assert cli.ok("verify", log).status == 0
    assert cli.ok("cat", log).out == ("kept\nmore\n" if descriptor else "kept\n")
    assert (log / "lock").stat().st_size == 8  # nothing was printed into it


def test_a_flusher_that_cannot_be_had_is_an_error(cli: Cli, log: Path) -> None:
    environment = {**os.environ, "DURALOG_FLUSHER": "/nonexistent/flusher"}
    told = cli.fails("append", log, stdin="x\n", env=environment)
    assert "/nonexistent/flusher" in told
