# SPDX-License-Identifier: MIT
"""duralog cat: what is printed, from where to where, and how.

Knows the command line's surface, and that records take multiples of 64 bytes.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from programs import BYTES, HANG_S, JSON, TEXT, Cli, Handle


def test_an_empty_log_prints_nothing(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    done = cli.ok("cat", log)
    assert (done.bytes, done.err) == (b"", "")


def test_json_lines_look_as_they_always_did(cli: Cli, log: Path) -> None:
    cli.append(log, 'say "hé"')
    cli.append(log, '{"event":"login", "n":[1,2]}', kind="json")
    cli.append(log, b"\x00\x01\x02", kind="bytes")
    assert cli.ok("cat", log, "--json").out.splitlines() == [
        r'{"lsn": 64, "type": "text", "data": "say \"hé\""}',
        '{"lsn": 128, "type": "json", "data": {"event":"login", "n":[1,2]}}',
        '{"lsn": 192, "type": "bytes", "data": "AAEC"}',
    ]


def test_text_comes_back_whatever_characters_it_has(cli: Cli, log: Path) -> None:
    lines = ["\x00\x01\x1f\x7f", '"\\/\b\f\t', "\u2028\u2029\ufeff", "𝄞 é", "\r", ""]
    cli.append(log, *lines)
    assert [record["data"] for record in cli.ok("cat", log, "--json")] == lines


def test_base64_has_the_vectors_of_rfc_4648(cli: Cli, log: Path) -> None:
    vectors = {"": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v"}
    vectors |= {"foob": "Zm9vYg==", "fooba": "Zm9vYmE=", "foobar": "Zm9vYmFy"}
    cli.append(log, *vectors, kind="bytes")
    assert [record["data"] for record in cli.ok("cat", log, "--json")] == list(vectors.values())


def test_base64_of_every_byte(cli: Cli, log: Path) -> None:
    line = bytes(byte for byte in range(256) if byte != 10)
    cli.append(log, line, line[1:], line[2:], kind="bytes")
    shown = [base64.b64decode(record["data"]) for record in cli.ok("cat", log, "--json")]
    assert shown == [line, line[1:], line[2:]]


# ---- What only the library appends ---------------------------------------------------------------


def append_all(handle: Handle, *records: tuple[bytes, int]) -> None:
    for data, kind in records:
        lsn = handle.append(data, kind)
    handle.wait(lsn)


@pytest.mark.parametrize("kind", [TEXT, JSON])
@pytest.mark.parametrize("data", [b"\xff", b"\xc0\x80", b'"\xed\xa0\x80"'], ids=repr)
def test_what_is_not_what_it_claims_is_shown_as_invalid(
    cli: Cli, log: Path, handle: Handle, data: bytes, kind: int
) -> None:
    append_all(handle, (data, kind))
    (record,) = cli.ok("cat", log, "--json")
    name = "text" if kind == TEXT else "json"
    shown = base64.b64encode(data).decode()
    assert record == {"lsn": 64, "type": name, "data": shown, "invalid": True}
    assert cli.ok("cat", log).bytes == data + b"\n"


@pytest.mark.parametrize("data", [b"", b" ", b"1 2", b'1"', b"\x0b1", b"[1"], ids=repr)
def test_a_json_that_is_none_is_shown_as_invalid(
    cli: Cli, log: Path, handle: Handle, data: bytes
) -> None:
    append_all(handle, (data, JSON))
    (record,) = cli.ok("cat", log, "--json")
    assert record["invalid"] is True
    assert base64.b64decode(record["data"]) == data


def test_json_of_several_lines_is_shown_in_one(cli: Cli, log: Path, handle: Handle) -> None:
    data = b'{\r\n  "a": 1.50,\n  "b": "x\\ny"\n}\n'
    append_all(handle, (data, JSON), (b"end", TEXT))
    first, last = cli.ok("cat", log, "--json").bytes.split(b"\n")[:2]
    assert b'"a": 1.50' in first
    assert json.loads(first)["data"] == {"a": 1.5, "b": "x\ny"}
    assert json.loads(last)["data"] == "end"


def test_an_applications_own_type_is_its_number(cli: Cli, log: Path, handle: Handle) -> None:
    append_all(handle, (b"abc", 17), (b"abc", 255), (b"abc", BYTES))
    shown = [(record["type"], record["data"]) for record in cli.ok("cat", log, "--json")]
    assert shown == [("17", "YWJj"), ("255", "YWJj"), ("bytes", "YWJj")]


# ---- From where to where -------------------------------------------------------------------------


@pytest.fixture
def five(cli: Cli, log: Path) -> Path:
    """Records a to e, that end at 64, 128, …, 320."""
    cli.append(log, *"abcde")
    return log


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ([], "abcde"),
        (["--from", "0"], "abcde"),
        (["--from", "64"], "bcde"),
        (["--from", "65"], "cde"),  # within b: begins with the next one
        (["--from", "320"], ""),
        (["--to", "0"], ""),
        (["--to", "128"], "ab"),
        (["--to", "127"], "a"),
        (["--to", "99999999"], "abcde"),
        (["--from", "64", "--to", "256"], "bcd"),
        (["--from", "128", "--to", "128"], ""),
    ],
    ids=str,
)
def test_bounds(cli: Cli, five: Path, bounds: list[str], shown: str) -> None:
    assert cli.ok("cat", five, *bounds).out.replace("\n", "") == shown


def test_beyond_the_end_is_an_error(cli: Cli, five: Path) -> None:
    assert "321" in cli.fails("cat", five, "--from", "321")


def test_a_copy_needs_no_flusher_and_no_ring(cli: Cli, five: Path, work: Path) -> None:
    cli.ok("stop", five)
    subprocess.run(["cp", "-a", five, work / "copy"], check=True)
    assert cli.ok("cat", work / "copy").out == "a\nb\nc\nd\ne\n"
    (status,) = cli.ok("status", work / "copy", "--json")
    assert status["state"] == "stopped"


# ---- Whoever reads the output --------------------------------------------------------------------


@pytest.mark.parametrize("form", [[], ["--json"]], ids=str)
def test_a_reader_that_has_had_enough_ends_it_quietly(cli: Cli, log: Path, form: list[str]) -> None:
    cli.append(log, *(f"{i:100}" for i in range(20_000)))
    process = cli.start("cat", log, *form)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(HANG_S) == 0


@pytest.mark.parametrize("lines", [1, 20_000])
@pytest.mark.parametrize("command", ["cat", "status"])
def test_an_output_that_is_full_is_an_error(cli: Cli, log: Path, command: str, lines: int) -> None:
    cli.append(log, *(f"{i:100}" for i in range(lines)))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [cli.program, command, log], stdout=full, stderr=subprocess.PIPE, timeout=HANG_S
        )
    assert done.returncode == 1
    assert done.stderr == b"duralog: cannot write to stdout: No space left on device\n"


def test_a_closed_output_is_an_error(cli: Cli, five: Path) -> None:
    command = ["sh", "-c", 'exec "$0" cat "$1" >&-', cli.program, five]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=HANG_S)
    assert done.returncode == 1
    assert done.stderr == b"duralog: cannot write to stdout: Bad file descriptor\n"
