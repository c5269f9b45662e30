# SPDX-License-Identifier: MIT
"""The parts of the benchmark: what is asked, how often, and which floor an answer is held against.

Each part is a function from the test bed and a scale to a Part. Rounds are the outer loop and the
things to be compared the inner one, so that they take turns (A B A B ...) and whatever else the
machine does meets them alike.

Knows bed.py, rows.py and the programs' arguments. Changes when a question is added.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bed import FIO_DEPTHS, Bed, Values
from rows import Part, Row

MIB = 1 << 20
GIB = 1 << 30
PRODUCERS = 2
TMPFS = Path("/dev/shm")


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    rounds: int
    bytes: int  # made durable, and read, at a time
    operations: int  # of one waiter, a round
    milliseconds: int  # of many waiters, and many producers


FULL = Scale(rounds=5, bytes=GIB, operations=4000, milliseconds=1500)
QUICK = Scale(rounds=3, bytes=GIB // 4, operations=500, milliseconds=300)


class Rounds:
    """Values by key, one a round, in the order of rounds."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, prefix: str, values: Values) -> None:
        for name, value in values.items():
            self.values[f"{prefix}{name}"].append(value)

    def __getitem__(self, key: str) -> list[float]:
        return self.values.get(key, [])


def rounds(part: str, scale: Scale) -> Iterator[int]:
    """Counts them, and shows that on a terminal."""
    for number in range(scale.rounds):
        if sys.stderr.isatty():
            print(f"\r{part}: {number + 1}/{scale.rounds} \033[K", end="", file=sys.stderr)
        yield number
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def best(pick: Callable[..., float], *columns: list[float]) -> list[float]:
    """Round by round, the best of several floors; those that were not measured do not count."""
    return [pick(values) for values in zip(*(column for column in columns if column))]


# ---- One process, memory only --------------------------------------------------------------------

SIZES = (("32 B", 32), ("100 B", 100), ("1 KiB", 1024))


def append(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("append", scale):
        for what, length in SIZES:
            got.add(f"{what} ", bed.measure_log("append", length))
    rows = []
    for what, _ in SIZES:
        for kind in ("crc32c", "xxh3"):
            floor = got[f"{what} {kind}"]
            goal = ">= 0.60" if (what, kind) == ("100 B", "crc32c") else ""
            if floor:
                rows.append(Row(what, "ns", got[f"{what} ours"], f"copy + {kind}", floor, goal))
    question = "one process, a ring that nobody drains, against copying and taking a checksum"
    return Part("append", question, rows)


def checksum(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    sizes = (*SIZES, ("64 KiB", 64 << 10))
    for _ in rounds("checksum", scale):
        for what, length in sizes:
            got.add(f"{what} ", bed.measure("checksum", length))
    rows = [
        Row(what, "ns", got[f"{what} xxh3"], "isa-l crc32c", got[f"{what} crc32c"])
        for what, _ in sizes
    ]
    return Part("checksum", "XXH3 inlined (what records have), against isa-l's CRC32C", rows)


# ---- To the disk ---------------------------------------------------------------------------------


def bandwidth(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    bed.sync_methods.clear()
    sizes = (("100 B", 100, ">= 0.60"), ("1 KiB", 1024, ">= 0.90"), ("16 KiB", 16 << 10, ">= 0.90"))
    for _ in rounds("bandwidth", scale):
        for depth in FIO_DEPTHS if bed.has_fio else ():
            got.add(f"fio {depth} ", bed.fio_mb_s(depth, scale.bytes))
        for what, length, _ in sizes:
            got.add(f"{what} ", bed.measure_log("bandwidth", length, scale.bytes, PRODUCERS))
    rows = []
    for state, name in (("new", "fio, new file"), ("old", "fio, overwriting")):
        floor = best(max, *(got[f"fio {depth} {state}"] for depth in FIO_DEPTHS))
        for what, _, goal in sizes:
            rows.append(Row(what, "MB/s", got[f"{what} payload"], name, floor, goal))
    for depth in FIO_DEPTHS if bed.has_fio else ():
        new, old = got[f"fio {depth} new"], got[f"fio {depth} old"]
        rows.append(Row(f"fio itself, depth {depth}", "MB/s", new, "fio, overwriting", old))
    question = (
        f"{PRODUCERS} producers, {scale.bytes // MIB} MiB of payload to the last durable LSN, "
        "against the device's sequential O_DIRECT + O_DSYNC write, its best depth"
    )
    note = methods(bed) if bed.has_fio else "no fio, no floor"
    return Part("bandwidth", question, rows, note)


def methods(bed: Bed) -> str:
    """What the flushers so far have chosen; a part's note."""
    chosen = ", ".join(f"{name} {count} times" for name, count in bed.sync_methods.items())
    bed.sync_methods.clear()
    return f"the flushers' probes chose {chosen}"


def latency(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    scratch = bed.directory / "scratch"
    bed.sync_methods.clear()
    for _ in rounds("latency", scale):
        back_to_back = bed.measure_log("latency", scratch, scale.operations, 0)
        slowest = max(value for name, value in back_to_back.items() if name.endswith(".p50"))
        interval_ns = int(2 * slowest * 1000)
        got.add("", back_to_back)
        due = bed.measure_log("latency", scratch, scale.operations, interval_ns)
        got.add("due ", due)
    scratch.unlink()
    goals = {"p50": "<= 1.15", "p99": "<= 1.50"}
    rows = [latency_row(got, "", point, goals.get(point, "")) for point in ("p50", "p99", "p99.9")]
    rows += [latency_row(got, "due ", point, "") for point in ("p50", "p99", "p99.9")]
    question = (
        "one waiter, append + wait until durable, against the better of the device's 4 KiB "
        "overwrites, O_DIRECT + O_DSYNC and write + fdatasync; `due`: at fixed times, half busy"
    )
    return Part("latency", question, rows, methods(bed))


def latency_row(got: Rounds, prefix: str, point: str, goal: str) -> Row:
    floor = best(min, got[f"{prefix}direct.{point}"], got[f"{prefix}fdatasync.{point}"])
    ours = got[f"{prefix}ours.{point}"]
    return Row(f"{prefix}{point}", "us", ours, "4 KiB overwrite", floor, goal, in_time=True)


# ---- Many at once --------------------------------------------------------------------------------


def waiters(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    counts, kinds = (1, 8, 64), ("threads", "processes")
    for _ in rounds("waiters", scale):
        for kind in kinds:
            for count in counts:
                values = bed.measure_log("waiters", kind, count, scale.milliseconds)
                got.add(f"{count} {kind} ", values)
    rows = []
    for kind in kinds:
        one = got[f"1 {kind} rate"]
        for count in counts[1:]:
            goal = ">= 20" if count == 64 else ""
            rate = got[f"{count} {kind} rate"]
            rows.append(Row(f"{count} {kind}", "/s", rate, "one waiter", one, goal))
    return Part("waiters", "each waits for its own record; commits a second, against one", rows)


def producers(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    question = "appending at once, flusher running, on tmpfs; records a second, against two"
    if not TMPFS.is_dir() or shutil.disk_usage(TMPFS).free < 6 * GIB:
        return Part("producers", question, [], f"{TMPFS} has less than 6 GiB free")
    counts = (1, 2, 4, 8, 16)
    with tempfile.TemporaryDirectory(prefix="duralog-bench-", dir=TMPFS) as directory:
        for _ in rounds("producers", scale):
            for count in counts:
                arguments = (count, scale.milliseconds)
                values = bed.measure_log("producers", *arguments, below=Path(directory))
                got.add(f"{count} ", values)
    rows = [
        Row(
            "1 producer" if count == 1 else f"{count} producers",
            "/s",
            got[f"{count} rate"],
            "two producers",
            got["2 rate"],
            ">= 0.90" if count == 16 else "",
        )
        for count in counts
    ]
    share = got["16 slowest"]
    rows.append(Row("slowest of 16", "", share, "their mean", [1.0] * len(share), ">= 0.30"))
    return Part("producers", question, rows)


def reader(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("reader", scale):
        got.add("", bed.measure_log("reader", scale.bytes))
    row = Row("100 B", "MB/s", got["ours"], "checksum alone", got["floor"], ">= 0.60")
    question = f"a warm log of {scale.bytes // MIB} MiB, against the checksum of its records alone"
    return Part("reader", question, [row])


ALL: dict[str, Callable[[Bed, Scale], Part]] = {
    "append": append,
    "bandwidth": bandwidth,
    "latency": latency,
    "waiters": waiters,
    "producers": producers,
    "reader": reader,
    "checksum": checksum,
}
