# SPDX-License-Identifier: MIT
"""duralog import: log files of the earlier library, whole, damaged and hostile.

The files are made here, byte by byte as that library wrote them. Knows that format and the command
line's surface.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import signal
import struct
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from programs import HANG_S, Cli, end

HEADER = struct.Struct("<IBI")
RECORDS: list[dict[str, Any] | str] = [
    *({"event": "login", "user": 7}, "text", "", {}, {"é": "ü\n", "deep": [1, [2, {"x": None}]]}),
    *("ünïcode \0 with a NUL", {"n": 12345678901234567890123, "f": 0.1}, "last"),
]


def pack(payload: bytes, kind: int, *, length: int | None = None, crc: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return HEADER.pack(size, kind, zlib.crc32(payload) if crc is None else crc) + payload


def record(value: dict[str, Any] | str) -> bytes:
    if isinstance(value, str):
        return pack(value.encode(), 2)
    return pack(json.dumps(value).encode(), 1)


def records(*values: dict[str, Any] | str) -> bytes:
    return b"".join(map(record, values))


@pytest.fixture
def file(work: Path) -> Path:
    return work / "earlier.log"


def data_of(cli: Cli, log: Path) -> list[Any]:
    return [shown["data"] for shown in cli.ok("cat", log, "--json")]


def test_all_records_come_over_in_order_and_durable(cli: Cli, file: Path, log: Path) -> None:
    file.write_bytes(records(*RECORDS))
    done = cli.ok("import", file, log)
    assert f"{len(RECORDS)} records" in done.out
    assert done.err == ""
    shown = list(cli.ok("cat", log, "--json"))
    assert [line["data"] for line in shown] == RECORDS
    assert [line["type"] for line in shown] == [
        "json" if isinstance(value, dict) else "text" for value in RECORDS
    ]
    (status,) = cli.ok("status", log, "--json")
    assert status["durable_lsn"] == status["committed_lsn"]


def test_the_report_for_scripts(cli: Cli, file: Path, log: Path) -> None:
    content = records(*RECORDS)
    file.write_bytes(content)
    (told,) = cli.ok("import", file, log, "--json")
    *_, last = cli.ok("cat", log, "--json")
    assert told == {
        "file": str(file),
        "log": str(log),
        "records": len(RECORDS),
        "bytes": len(content) - len(RECORDS) * HEADER.size,
        "last_lsn": last["lsn"],
        "durable": True,
        "next_offset": len(content),
        "not_json": 0,
        "damage": [],
    }


def test_many_records_of_all_sizes(cli: Cli, file: Path, log: Path) -> None:
    sizes = [*range(300), 4095, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, *range(5000)]
    file.write_bytes(b"".join(record("x" * size) for size in sizes))
    (told,) = cli.ok("import", file, log, "--json")
    assert told["records"] == len(sizes)
    assert [len(line) for line in cli.ok("cat", log).out.splitlines()] == sizes


def test_an_empty_file_is_an_empty_log(cli: Cli, file: Path, log: Path) -> None:
    file.write_bytes(b"")
    assert "0 records" in cli.ok("import", file, log).out
    assert data_of(cli, log) == []


def test_level_committed(cli: Cli, file: Path, log: Path) -> None:
    file.write_bytes(records("one"))
    (told,) = cli.ok("import", file, log, "--json", "--level", "committed")
    assert told["durable"] is False
    cli.ok("append", log)
    assert data_of(cli, log) == ["one"]


# ---- Damage --------------------------------------------------------------------------------------


def damage_of(cli: Cli, file: Path, log: Path) -> list[dict[str, Any]]:
    done = cli("import", file, log, "--json")
    assert done.status == 1, done
    (told,) = done
    damage: list[dict[str, Any]] = told["damage"]
    return damage


BAD = {
    "a payload byte": record("damaged")[:-1] + b"X",
    "a checksum byte": pack(b"damaged", 2, crc=1),
    "a type": pack(b"damaged", 9),
    "a type of zero": pack(b"damaged", 0),
    "a length too small": pack(b"damaged", 2, length=3),
    "a length a little too large": pack(b"damaged", 2, length=9),
    "a length far too large": pack(b"damaged", 2, length=0xFFFFFFFF),
    "a length of the rest of the file": pack(b"damaged", 2, length=40),
    "text between records": b"2026-01-01 not of this file\n",
    "zeros": bytes(5000),
    "one byte": b"\x02",
}


@pytest.mark.parametrize("name", BAD)
def test_damage_in_the_middle_is_told_and_what_is_around_it_kept(
    cli: Cli, file: Path, log: Path, name: str
) -> None:
    before, bad, after = records("one", {"two": 2}), BAD[name], records("three", {"four": 4})
    file.write_bytes(before + bad + after)
    [hole] = damage_of(cli, file, log)
    assert (hole["offset"], hole["bytes"]) == (len(before), len(bad))
    assert hole["reason"]
    assert data_of(cli, log) == ["one", {"two": 2}, "three", {"four": 4}]


@pytest.mark.parametrize("name", BAD)
def test_damage_at_the_beginning_and_at_the_end(cli: Cli, file: Path, log: Path, name: str) -> None:
    bad, middle = BAD[name], records("one", "two")
    file.write_bytes(bad + middle + bad)
    first, last = damage_of(cli, file, log)
    assert (first["offset"], first["bytes"]) == (0, len(bad))
    assert (last["offset"], last["bytes"]) == (len(bad) + len(middle), len(bad))
    assert data_of(cli, log) == ["one", "two"]


def test_a_file_cut_at_every_byte(cli: Cli, file: Path, work: Path) -> None:
    """As a crash of the earlier library leaves it: the whole records come, the rest is told."""
    whole, cut = records("one", {"two": 2}), record("three, which is cut off")
    log = work / "app.log"
    cli.ok("create", log)
    for length in range(1, len(cut)):
        file.write_bytes(whole + cut[:length])
        done = cli("import", file, log, "--append", "--json", "--level", "committed")
        (told,) = done
        assert done.status == 1
        assert told["records"] == 2
        assert [(hole["offset"], hole["bytes"]) for hole in told["damage"]] == [
            (len(whole), length)
        ]


def test_people_are_told_offsets_and_the_status_is_1(cli: Cli, file: Path, log: Path) -> None:
    before = records("one")
    file.write_bytes(before + BAD["a payload byte"] + records("two"))
    done = cli("import", file, log)
    assert done.status == 1
    assert "2 records" in done.out
    assert f"16 bytes at offset {len(before)}" in done.err
    assert "checksum" in done.err


def test_many_holes_are_counted_and_listed_for_scripts(
    cli: Cli, file: Path, log: Path, work: Path
) -> None:
    file.write_bytes((records("good") + BAD["a checksum byte"]) * 100)
    done = cli("import", file, log)
    assert done.err.count("\n") == 21
    assert "80 more such places, 100 and 1600 bytes in all" in done.err
    assert len(damage_of(cli, file, work / "again.log")) == 100
    assert data_of(cli, log) == ["good"] * 100


def test_random_damage_loses_only_what_it_hits(cli: Cli, file: Path, log: Path) -> None:
    """With a seed that is told when it fails."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    values = [f"record {i} {'x' * chance.randrange(200)}" for i in range(3000)]
    content, offsets = bytearray(), []
    for value in values:
        offsets.append(len(content))
        content += record(value)
    hit = sorted(chance.sample(range(len(values)), 60))
    for index in hit:
        span = HEADER.size + len(values[index])
        content[offsets[index] + chance.randrange(span)] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    holes = damage_of(cli, file, log)
    left = [value for index, value in enumerate(values) if index not in set(hit)]
    assert data_of(cli, log) == left, seed
    lost = sum(HEADER.size + len(values[index]) for index in hit)
    assert sum(hole["bytes"] for hole in holes) == lost, seed


def test_bytes_that_all_look_like_headers_do_not_take_for_ever(
    cli: Cli, file: Path, log: Path
) -> None:
    """Each one's checksum would be taken over a megabyte."""
    file.write_bytes(records("one") + HEADER.pack((1 << 20) - 1, 2, 7) * 500_000)
    [hole] = damage_of(cli, file, log)
    assert "given up" in hole["reason"]
    assert data_of(cli, log) == ["one"]


def test_python_s_own_json_comes_over_and_is_told_of(cli: Cli, file: Path, log: Path) -> None:
    file.write_bytes(pack(b'{"x": NaN}', 1) + records("text"))
    done = cli("import", file, log)
    assert done.status == 0
    assert "1 of the records" in done.err
    assert cli.ok("cat", log).out == '{"x": NaN}\ntext\n'


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"a line of text\n" * 100, bytes(100_000), b"\x02", os.urandom(50_000)]
)
def test_a_file_of_something_else_makes_no_log(
    cli: Cli, file: Path, log: Path, content: bytes
) -> None:
    file.write_bytes(content)
    assert "holds no record of the earlier library" in cli.fails("import", file, log)
    assert not log.exists()


def test_what_is_no_file_makes_no_log(cli: Cli, work: Path, log: Path) -> None:
    os.mkfifo(work / "fifo")
    (work / "directory").mkdir()
    for name in ("fifo", "directory"):
        assert "no regular file" in cli.fails("import", work / name, log)
    assert "cannot open" in cli.fails("import", work / "nothing", log)
    assert not log.exists()


def test_a_log_with_records_is_refused_unless_told(cli: Cli, file: Path, log: Path) -> None:
    """So that an import is not done twice by mistake."""
    file.write_bytes(records("one", "two"))
    cli.ok("import", file, log)
    assert "--append" in cli.fails("import", file, log)
    assert data_of(cli, log) == ["one", "two"]
    cli.ok("import", file, log, "--append", "--from", len(record("one")))
    assert data_of(cli, log) == ["one", "two", "two"]


def test_an_offset_behind_the_end(cli: Cli, file: Path, log: Path) -> None:
    file.write_bytes(records("one"))
    assert "ends at offset 12" in cli.fails("import", file, log, "--from", 13)
    assert not log.exists()


def test_a_record_that_the_log_cannot_take_ends_it_with_the_way_on(
    cli: Cli, file: Path, log: Path, work: Path
) -> None:
    before = records("one", "two")
    file.write_bytes(before + record("x" * 100_000) + records("three"))
    cli.ok("create", log, "--ring-bytes", "64K")
    done = cli("import", file, log)
    assert done.status == 1
    assert f"offset {len(before)}" in done.err
    assert "ring_bytes" in done.err
    assert f"--append --from {len(before)}" in done.err
    assert data_of(cli, log) == ["one", "two"]
    cli.ok("import", file, work / "larger.log")
    assert len(data_of(cli, work / "larger.log")) == 4


# ---- Being stopped, and files that change --------------------------------------------------------


def stand_still(cli: Cli, log: Path) -> dict[str, Any]:
    """A log with a small ring, whose flusher stands still; its status."""
    cli.ok("create", log, "--ring-bytes", "64K")
    cli.ok("append", log)
    (status,) = cli.ok("status", log, "--json")
    os.kill(status["flusher"]["pid"], signal.SIGSTOP)
    return status


def await_full_ring(cli: Cli, log: Path) -> None:
    while True:
        (status,) = cli.ok("status", log, "--json")
        if status["committed_lsn"] >= 60_000:
            return


def test_a_file_that_grows_is_told_of_with_the_way_on(cli: Cli, file: Path, log: Path) -> None:
    """The flusher stands still, so that the import waits for it until the file has grown."""
    content = records("one", "two")
    file.write_bytes(content)
    cli.append(log, "before")
    (status,) = cli.ok("status", log, "--json")
    os.kill(status["flusher"]["pid"], signal.SIGSTOP)
    importing = cli.start("import", file, log, "--append")
    while status["committed_lsn"] < 192:
        (status,) = cli.ok("status", log, "--json")
    with open(file, "ab") as opened:
        opened.write(records("three"))
    os.kill(status["flusher"]["pid"], signal.SIGCONT)
    out, err = importing.communicate(timeout=HANG_S)
    assert importing.returncode == 1, (out, err)
    assert b"has grown by 14 bytes" in err
    assert f"--append --from {len(content)}".encode() in err
    cli.ok("import", file, log, "--append", "--from", len(content))
    assert data_of(cli, log) == ["before", "one", "two", "three"]


def test_sigint_ends_it_with_the_way_on(cli: Cli, file: Path, log: Path) -> None:
    """The flusher stands still, so the ring is soon full."""
    values = [f"record {i}" for i in range(5000)]
    file.write_bytes(records(*values))
    status = stand_still(cli, log)
    importing = cli.start("import", file, log)
    await_full_ring(cli, log)
    importing.send_signal(signal.SIGINT)
    time.sleep(0.3)  # it notices within a slice, and then waits for the disk
    os.kill(status["flusher"]["pid"], signal.SIGCONT)
    finished = end(importing, 0)
    if finished.status == 0:  # the flusher was faster than the signal
        assert data_of(cli, log) == values
        return
    assert "interrupted" in finished.err
    offset = finished.err.rsplit(" ", 1)[1].strip()
    cli.ok("import", file, log, "--append", "--from", offset)
    assert data_of(cli, log) == values


def test_an_import_that_was_killed_leaves_whole_records_each_once(
    cli: Cli, file: Path, log: Path
) -> None:
    values = [f"record {i}" for i in range(5000)]
    file.write_bytes(records(*values))
    status = stand_still(cli, log)
    importing = cli.start("import", file, log)
    await_full_ring(cli, log)
    importing.kill()
    importing.communicate(timeout=HANG_S)
    os.kill(status["flusher"]["pid"], signal.SIGCONT)
    cli.ok("append", log)
    assert "where an import of this file was killed" in cli.fails("import", file, log)
    left = data_of(cli, log)
    assert 0 < len(left) < len(values)
    assert left == values[: len(left)]


def test_progress_is_shown_on_a_terminal_alone(cli: Cli, file: Path, log: Path) -> None:
    """Not at once: the flusher stands still until it is due, and the ring is full meanwhile."""
    file.write_bytes(records(*(f"record {i}" for i in range(5000))))
    status = stand_still(cli, log)
    terminal, end_of_it = pty.openpty()
    importing = subprocess.Popen([cli.program, "import", file, log], stderr=end_of_it)
    os.close(end_of_it)
    await_full_ring(cli, log)
    time.sleep(0.5)  # at least
    os.kill(status["flusher"]["pid"], signal.SIGCONT)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal tells that nobody writes any more
        while chunk := os.read(terminal, 4096):
            shown += chunk
    os.close(terminal)
    assert importing.wait(timeout=HANG_S) == 0
    assert b"% of" in shown
    assert shown.endswith(b"\r\x1b[K")


# ---- The way there -------------------------------------------------------------------------------


def test_the_sentence_of_a_refused_file_is_the_command_that_brings_it_over(
    cli: Cli, work: Path, file: Path
) -> None:
    values = ["one", {"two": 2}]
    file.write_bytes(records(*values))
    told = cli.fails("append", file, stdin="x\n")
    assert "log file of the earlier DuraLog library" in told
    command = told.split("bring it over: ")[1].strip()
    tools = {**os.environ, "PATH": f"{Path(cli.program).parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", command], check=True, env=tools, stdout=subprocess.DEVNULL)
    assert data_of(cli, file) == values
    assert cli.append(file, "three")


@pytest.mark.parametrize("command", ["create", "append", "cat", "follow", "status", "verify"])
def test_every_command_refuses_it_so(cli: Cli, file: Path, command: str) -> None:
    file.write_bytes(records(*RECORDS))
    assert "duralog import" in cli.fails(command, file)
    assert file.read_bytes() == records(*RECORDS)


def test_an_empty_file_at_the_path_is_told_as_one(cli: Cli, file: Path) -> None:
    file.write_bytes(b"")
    assert "is an empty file" in cli.fails("append", file, stdin="x\n")
