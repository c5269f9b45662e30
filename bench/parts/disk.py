# SPDX-License-Identifier: MIT
"""Parts that ask how near to the device the log comes: bandwidth, latency, a busy device.

Knows the programs bandwidth, latency and busy, and fio through the bed. Changes when a question is
added.
"""

from __future__ import annotations

import shutil

from bed import FIO_DEPTHS, Bed
from rows import Curve, Part, Row

from parts.common import GIB, KIB, MIB, Rounds, Scale, best, rounds

PRODUCERS = 2
# Like is judged beside like: a log that grows beside fio in a new file, one whose files were made
# before beside fio that overwrites. The goal of the growing log beside overwriting is told as well.
PAIRS = (
    ("ahead", "old", "fio, overwriting", "prefilled, "),
    ("grows", "new", "fio, new file", ""),
    ("grows", "old", "fio, overwriting", ""),
)
FORMAT_SHARE = 1.5  # of the payload, at most: what 100 B take in the log, and a segment begun
FILLING = 16 * GIB  # more than is prefilled while one waiter is measured
POINTS = (50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100)


def has_fio() -> bool:
    return shutil.which("fio") is not None


def add_fio(bed: Bed, got: Rounds, total: int) -> None:
    for depth in FIO_DEPTHS if has_fio() else ():
        got.add(f"fio {depth} ", bed.fio_mb_s(depth, total))


def fio_best(got: Rounds, state: str) -> list[float]:
    return best(max, *(got[f"fio {depth} {state}"] for depth in FIO_DEPTHS))


def bandwidth(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    bed.methods()
    sizes = (("100 B", 100, ">= 0.60"), ("1 KiB", KIB, ">= 0.90"), ("16 KiB", 16 * KIB, ">= 0.90"))
    ahead = int(scale.bytes * FORMAT_SHARE)
    for _ in rounds("bandwidth", scale.rounds):
        add_fio(bed, got, scale.bytes)
        for what, length, _ in sizes:
            work = (length, scale.bytes, PRODUCERS)
            got.add(f"{what} grows ", bed.measure_log("bandwidth", *work))
            got.add(f"{what} ahead ", bed.measure_log("bandwidth", *work, spare_bytes=ahead))
    rows = []
    for ours, state, name, says in PAIRS:
        for what, length, goal in sizes:
            speed = got[f"{what} {ours} payload"]
            row = Row(f"{says}{what}", "MB/s", speed, name, fio_best(got, state), goal)
            row.goal_name, row.says = "P3", f"durable bandwidth, {says}{what} records"
            row.is_headline = length == KIB and (ours, state) != ("grows", "old")
            rows.append(row)
    for depth in FIO_DEPTHS if has_fio() else ():
        new, old = got[f"fio {depth} new"], got[f"fio {depth} old"]
        rows.append(Row(f"fio itself, depth {depth}", "MB/s", new, "fio, overwriting", old))
    question = (
        f"{PRODUCERS} producers, {scale.bytes // MIB} MiB of payload to the last durable LSN, "
        "against the device's sequential O_DIRECT + O_DSYNC write, its best depth; `prefilled`: "
        "a log with spare files for all of it"
    )
    return Part("bandwidth", question, rows, bed.methods() if has_fio() else "no fio, no floor")


# ---- One waiter ----------------------------------------------------------------------------------


def latency(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    scratch = bed.directory / "scratch"
    bed.methods()
    for _ in rounds("latency", scale.rounds):
        back_to_back = bed.measure_log("latency", scratch, scale.operations, 0)
        slowest = max(value for name, value in back_to_back.items() if name.endswith(".p50"))
        interval_ns = int(2 * slowest * 1000)
        got.add("", back_to_back)
        due = bed.measure_log("latency", scratch, scale.operations, interval_ns)
        got.add("due ", due)
        filling = bed.measure_log("latency", scratch, scale.operations, 0, spare_bytes=FILLING)
        got.add("filling ", filling)
    scratch.unlink()
    rows = [latency_row(got, f"{prefix}p{p}") for prefix in ("", "due ") for p in (50, 99, 99.9)]
    for row, goal in ((rows[0], "<= 1.15"), (rows[1], "<= 1.50")):
        row.goal, row.goal_name = goal, "P4"
        row.says = f"one waiter, append to durable, {row.what}"
        row.is_headline = True
    for p in (50, 99, 99.9):
        ours = (got[f"filling ours.p{p}"], "without", got[f"ours.p{p}"])
        rows.append(Row(f"filling p{p}", "us", *ours, less=True))
    question = (
        "one waiter, append + wait until durable, against the better of the device's 4 KiB "
        "overwrites, O_DIRECT + O_DSYNC and write + fdatasync; `due`: at fixed times, half busy; "
        "`filling`: while the log's spare files are written full of zeros"
    )
    return Part("latency", question, rows, bed.methods(), [latency_curve(got)])


def latency_row(got: Rounds, what: str) -> Row:
    prefix, point = what.rsplit("p", 1)
    floor = best(min, got[f"{prefix}direct.p{point}"], got[f"{prefix}fdatasync.p{point}"])
    ours = got[f"{prefix}ours.p{point}"]
    return Row(what, "us", ours, "4 KiB overwrite", floor, less=True)


def latency_curve(got: Rounds) -> Curve:
    title = "One waiter: append 100 B and wait until it is durable"
    curve = Curve("latency", title, "percentile", "microseconds")
    names = {
        "ours": "DuraLog",
        "direct": "4 KiB overwrite, O_DIRECT + O_DSYNC",
        "fdatasync": "4 KiB overwrite, write + fdatasync",
    }
    for way, name in names.items():
        for point in POINTS[:-1]:
            curve.add(name, point, got[f"{way}.p{point}"])
    return curve


# ---- A device that never rests -------------------------------------------------------------------

INTERVAL_NS = 10_000


def busy(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    records = 2 * scale.milliseconds * 1_000_000 // INTERVAL_NS
    for _ in rounds("busy", scale.rounds):
        scratch = bed.new_path()
        got.add("", bed.measure_log("busy", scratch, 1, records, INTERVAL_NS))
        for left in scratch.parent.glob(f"{scratch.name}*"):
            left.unlink()
    rows = [
        Row(f"{kind} p{p}", "us", got[f"{kind}.p{p}"], "its p50", got[f"{kind}.p50"], less=True)
        for kind in ("due", "bare", "call")
        for p in (99, 99.9, 99.99)
    ]
    late = (got["due.p99.9"], "the bare loop's", got["bare.p99.9"])
    rows.append(Row("due p99.9", "us", *late, less=True))
    for row, whose in ((rows[1], "with the machine's lateness"), (rows[7], "its own stalls")):
        row.goal, row.goal_name = "<= 25", "P9"
        row.says = f"append while the device is busy, p99.9, {whose}"
    question = (
        f"append 100 B, one due every {INTERVAL_NS / 1000:g} us, while another process overwrites "
        "a file with 1 MiB O_DIRECT + O_DSYNC; `due`: from when it was due; `bare`: the same of a "
        "loop that only copies the record; `call`: the call alone and what it held up"
    )
    note = "" if not got["device"] else f"that process wrote {min(got['device']):.0f} MB/s or more"
    return Part("busy", question, rows, note)
