# SPDX-License-Identifier: MIT
"""duralog verify, and what cat and append do with logs that are torn or damaged.

The logs are made by editing segment files: see src/format/format.h for the bytes. Knows those, and
the command line's surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import Cli

BLOCK = 4096
DATA, SEAL, ROLL = 1, 2, 3


@dataclass
class Frame:
    offset: int
    kind: int
    lsn: int
    bytes: int


def frames_of(segment: Path) -> list[Frame]:
    content = segment.read_bytes()
    found, at = [], BLOCK
    while content[at : at + 8] == b"DLframe1":
        number = [int.from_bytes(content[at + i : at + i + 8], "little") for i in range(0, 64, 8)]
        found.append(Frame(at, number[6] >> 32, number[2], number[5]))
        at += (64 + number[5] + BLOCK - 1) // BLOCK * BLOCK
    return found


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 0x40
    file.write_bytes(content)


@pytest.fixture
def segment(cli: Cli, log: Path) -> Path:
    """Of a log with the records one, two, three, a frame each, cleanly stopped."""
    for line in ("one", "two", "three"):
        cli.append(log, line)
    cli.ok("stop", log)
    (found,) = (log / "segments").glob("*.seg")
    return found


def data_frames(segment: Path) -> list[Frame]:
    return [frame for frame in frames_of(segment) if frame.kind == DATA]


def unseal(segment: Path) -> None:
    """As if the power had been cut right after the last record."""
    content = bytearray(segment.read_bytes())
    last = data_frames(segment)[-1]
    end = last.offset + BLOCK
    content[end:] = bytes(len(content) - end)
    segment.write_bytes(content)


def verdict(cli: Cli, log: Path, status: int) -> dict[str, object]:
    done = cli("verify", log, "--json")
    assert done.status == status, done
    (found,) = done
    assert found.keys() >= {"state", "records", "first_lsn", "last_lsn", "damage"}
    return found


# ---- Intact --------------------------------------------------------------------------------------


def test_an_intact_log(cli: Cli, log: Path, segment: Path) -> None:
    assert verdict(cli, log, 0) == {
        "state": "intact",
        "records": 3,
        "first_lsn": 0,
        "last_lsn": 192,
        "damage": None,
    }
    assert cli.ok("verify", log).out == "intact: 3 records, LSN 0 to 192\n"


def test_an_empty_log_is_intact(cli: Cli, log: Path) -> None:
    cli.ok("create", log)
    found = verdict(cli, log, 0)
    assert (found["state"], found["records"], found["last_lsn"]) == ("intact", 0, 0)


def test_a_log_in_use_is_intact(cli: Cli, log: Path) -> None:
    cli.append(log, *map(str, range(1000)))
    assert verdict(cli, log, 0)["records"] == 1000


def test_a_log_whose_power_was_cut_between_frames_is_intact(
    cli: Cli, log: Path, segment: Path
) -> None:
    unseal(segment)
    assert verdict(cli, log, 0)["state"] == "intact"
    assert cli.ok("cat", log).out == "one\ntwo\nthree\n"


# ---- Torn ----------------------------------------------------------------------------------------


@pytest.fixture
def torn(segment: Path) -> Frame:
    """The last frame is half written, and nothing was written behind it."""
    unseal(segment)
    last = data_frames(segment)[-1]
    flip(segment, last.offset + 64 + 20)
    return last


def test_a_torn_tail_is_no_damage(cli: Cli, log: Path, segment: Path, torn: Frame) -> None:
    found = verdict(cli, log, 0)
    assert (found["state"], found["records"], found["last_lsn"]) == ("torn", 2, 128)
    damage = found["damage"]
    assert isinstance(damage, dict)
    assert damage["segment"].endswith(segment.name)
    assert damage["reason"]
    assert (damage["offset"], damage["lsn"]) == (torn.offset, torn.lsn)
    assert str(torn.offset) in cli.ok("verify", log).out


def test_cat_prints_what_precedes_a_torn_tail_and_a_notice(
    cli: Cli, log: Path, segment: Path, torn: Frame
) -> None:
    done = cli.ok("cat", log)
    assert done.out == "one\ntwo\n"
    assert done.err.startswith("duralog: notice: ")
    assert done.err.count("\n") == 1
    assert segment.name in done.err
    assert str(torn.offset) in done.err
    assert "128" in done.err


def test_append_cuts_a_torn_tail_and_goes_on(
    cli: Cli, log: Path, segment: Path, torn: Frame
) -> None:
    assert cli.append(log, "four") > torn.lsn
    done = cli.ok("cat", log)
    assert (done.out, done.err) == ("one\ntwo\nfour\n", "")
    cli.ok("stop", log)
    assert verdict(cli, log, 0)["state"] == "intact"


# ---- Damaged -------------------------------------------------------------------------------------


def expect_damage(cli: Cli, log: Path, segment: Path, offset: int, lsn: int, before: str) -> None:
    """Each command says the same, and none changes the log."""
    content = segment.read_bytes()
    found = verdict(cli, log, 1)
    damage = found["damage"]
    assert found["state"] == "damaged"
    assert isinstance(damage, dict)
    assert damage["segment"].endswith(segment.name)
    assert (damage["offset"], damage["lsn"]) == (offset, lsn)
    place = (segment.name, f"byte {offset}", f"LSN {lsn}")
    for command in (["cat", log], ["cat", log, "--json"], ["verify", log]):
        done = cli(*command)
        assert done.status == 1, done
        assert [word for word in place if word not in done.err] == [], done
    assert cli("cat", log).out == before
    assert segment.name in cli.fails("append", log, stdin="x\n")
    assert segment.read_bytes() == content


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("byte", [0, 9, 16, 40, 56, 64, 76, 80])
def test_a_flipped_bit_before_the_durable_point_is_damage(
    cli: Cli, log: Path, segment: Path, index: int, byte: int
) -> None:
    frame = data_frames(segment)[index]
    flip(segment, frame.offset + byte)
    before = "".join(["one\n", "two\n", "three\n"][:index])
    expect_damage(cli, log, segment, frame.offset, frame.lsn, before)


def test_cat_up_to_before_the_damage_is_done(cli: Cli, log: Path, segment: Path) -> None:
    flip(segment, data_frames(segment)[1].offset + 70)
    done = cli.ok("cat", log, "--to", 64)
    assert (done.out, done.err) == ("one\n", "")


def test_a_damaged_log_is_followed_no_further(cli: Cli, log: Path, segment: Path) -> None:
    flip(segment, data_frames(segment)[1].offset + 70)
    done = cli("follow", log, "--from", 0)
    assert (done.status, done.out) == (1, "one\n")
    assert segment.name in done.err


def test_a_segment_that_is_cut_short_is_damage(cli: Cli, log: Path, segment: Path) -> None:
    with segment.open("r+b") as file:
        file.truncate(data_frames(segment)[1].offset)
    assert verdict(cli, log, 1)["state"] == "damaged"
    assert cli("cat", log).out in ("", "one\n")
    assert segment.name in cli.fails("append", log, stdin="x\n")


@pytest.mark.parametrize("byte", [0, 8, 33, 56, 80, 2000])
def test_a_damaged_segment_header_is_damage(cli: Cli, log: Path, segment: Path, byte: int) -> None:
    flip(segment, byte)
    done = cli("cat", log)
    assert done.status == 1
    assert segment.name in done.err
    assert done.out == ""
    assert cli("verify", log).status == 1
    assert segment.name in cli.fails("append", log, stdin="x\n")


@pytest.fixture
def segments(cli: Cli, log: Path) -> list[Path]:
    """Of a log that fills several."""
    cli.ok("create", log, "--segment-bytes", "64K", "--ring-bytes", "64K")
    for i in range(12):
        cli.append(log, f"{i:20000}")
    cli.ok("stop", log)
    found = sorted((log / "segments").glob("*.seg"))
    assert len(found) > 3
    return found


@pytest.mark.parametrize("index", [1, -1])
def test_a_lost_segment_is_damage(cli: Cli, log: Path, segments: list[Path], index: int) -> None:
    segments[index].unlink()
    end = int(segments[index].stem, 16)
    found = verdict(cli, log, 1)
    assert (found["state"], found["last_lsn"]) == ("damaged", end)
    done = cli("cat", log)
    assert done.status == 1
    assert [int(line) for line in done.out.splitlines()] == list(range(len(done.out) // 20001))
    assert f"LSN {end}" in done.err
    cli.fails("append", log, stdin="x\n")


# ---- Salvage -------------------------------------------------------------------------------------


def test_salvage_of_an_intact_log_is_all_of_it(cli: Cli, log: Path, segment: Path) -> None:
    done = cli("cat", log, "--salvage")
    assert (done.status, done.out.splitlines(), done.err) == (0, ["one", "two", "three"], "")


def test_salvage_prints_the_rest_and_names_the_hole(cli: Cli, log: Path, segment: Path) -> None:
    second = data_frames(segment)[1]
    flip(segment, second.offset + 80)
    done = cli("cat", log, "--salvage")
    assert (done.status, done.out.splitlines()) == (1, ["one", "three"])
    end = second.lsn + second.bytes
    for part in (segment.name, f"byte {second.offset}", f"LSN {second.lsn} to {end}"):
        assert part in done.err


def test_salvage_tells_scripts_of_the_hole(cli: Cli, log: Path, segment: Path) -> None:
    second = data_frames(segment)[1]
    flip(segment, second.offset + 80)
    done = cli("cat", log, "--salvage", "--json")
    assert done.status == 1
    first, hole, third = done
    assert (first["data"], third["data"]) == ("one", "three")
    found = hole["hole"]
    assert found.pop("reason")
    assert found == {
        "segment": segment.name,
        "offset": second.offset,
        "lsn": second.lsn,
        "end_lsn": second.lsn + second.bytes,
    }


def test_salvage_says_that_nothing_follows(cli: Cli, log: Path, segment: Path) -> None:
    _, second, third = data_frames(segment)
    for frame in (second, third):
        flip(segment, frame.offset + 80)
    done = cli("cat", log, "--salvage", "--json")
    assert done.status == 1
    one, hole = done
    assert one["data"] == "one"
    assert hole["hole"]["lsn"] == second.lsn
    assert hole["hole"]["end_lsn"] is None


def test_salvage_from_behind_the_damage(cli: Cli, log: Path, segment: Path) -> None:
    first, second, _ = data_frames(segment)
    flip(segment, first.offset + 80)
    done = cli("cat", log, "--salvage", "--from", str(second.lsn + second.bytes))
    assert done.out.splitlines() == ["three"]
