# SPDX-License-Identifier: MIT
"""Parts that no disk takes part in: an append by itself, checksums, many producers, messages.

Knows the programs append, checksum, producers, contention, and Aeron's sample. Changes when a
question is added.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import peers
from bed import TMPFS, Bed, Failure, Values
from rows import Curve, Part, Row

from parts.common import GIB, MIB, SIZES, Rounds, Scale, rounds

RECORD_BYTES = 100
COUNTS = (1, 2, 4, 8, 16, 32, 64)
RING_BYTES = 256 * MIB  # where a thread's quarter of the ring should take long enough to time


def append(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("append", scale.rounds):
        for what, length in SIZES:
            got.add(f"{what} ", bed.measure_log("append", length))
    rows = []
    for what, _ in SIZES:
        for kind in ("crc32c", "xxh3"):
            if got[f"{what} {kind}"]:
                rows.append(
                    Row(what, "ns", got[f"{what} ours"], f"copy + {kind}", got[f"{what} {kind}"])
                )
    for row in rows:
        if (row.what, row.floor_name) == ("100 B", "copy + crc32c"):
            row.goal, row.goal_name, row.is_headline = ">= 0.60", "P1", True
            row.says = "append 100 B, one process"
    question = "one process, a ring that nobody drains, against copying and taking a checksum"
    return Part("append", question, rows)


def checksum(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    sizes = (*SIZES, ("64 KiB", 64 << 10))
    for _ in rounds("checksum", scale.rounds):
        for what, length in sizes:
            got.add(f"{what} ", bed.measure("checksum", length))
    rows = [
        Row(what, "ns", got[f"{what} xxh3"], "isa-l crc32c", got[f"{what} crc32c"])
        for what, _ in sizes
    ]
    return Part("checksum", "XXH3 inlined (what records have), against isa-l's CRC32C", rows)


# ---- Many producers ------------------------------------------------------------------------------


def is_tmpfs_small() -> str:
    """Why logs cannot lie there, if they cannot."""
    if TMPFS.is_dir() and shutil.disk_usage(TMPFS).free >= 6 * GIB:
        return ""
    return f"{TMPFS} has less than 6 GiB free"


def producers(bed: Bed, scale: Scale) -> Part:
    question = "appending at once, flusher running, on tmpfs; records a second, against two"
    if is_tmpfs_small():
        return Part("producers", question, note=is_tmpfs_small())
    got = Rounds()
    with bed.memory_directory() as directory:
        for _ in rounds("producers", scale.rounds):
            got.add("append ", bed.measure_log("append", RECORD_BYTES))
            for count in COUNTS:
                arguments = (count, scale.milliseconds)
                values = bed.measure_log("producers", *arguments, below=directory)
                got.add(f"{count} ", values)
    two = got["2 rate"]
    rows = [
        Row(f"{count} at once", "/s", got[f"{count} rate"], "two producers", two)
        for count in COUNTS
        if count != 2
    ]
    sixteen = next(row for row in rows if row.what == "16 at once")
    sixteen.goal, sixteen.goal_name = ">= 0.90", "P2"
    sixteen.says = "16 producers at once, on two cores"
    share = got["16 slowest"]
    says = "the slowest of the 16, against their mean"
    rows.append(Row("slowest of 16", "", share, goal=">= 0.30", goal_name="P2", says=says))
    curve = Curve("producers", "Appending at once, on tmpfs", "producers", "million records/s")
    for count in COUNTS:
        curve.add("DuraLog, all producers", count, [rate / 1e6 for rate in got[f"{count} rate"]])
    for name, key in (("copy + CRC32C, one core", "crc32c"), ("append alone, undrained", "ours")):
        if got[f"append {key}"]:
            curve.floors[name] = [1e3 / ns for ns in got[f"append {key}"]]
    return Part("producers", question, rows, curves=[curve])


# ---- Messages ------------------------------------------------------------------------------------


def messages(bed: Bed, scale: Scale) -> Part:
    question = (
        "one producer of 100 B to the flusher, log on tmpfs, records a second, against Aeron's "
        "EmbeddedIpcThroughput, which takes no checksum and keeps nothing"
    )
    if is_tmpfs_small():
        return Part("messages", question, note=is_tmpfs_small())
    jars = peers.aeron(bed.build)
    got = Rounds()
    with bed.memory_directory() as directory:
        for _ in rounds("messages", scale.rounds):
            values = bed.measure_log("producers", 1, scale.milliseconds, below=directory)
            got.add("ours ", values)
            if jars:
                got.add("aeron ", {"rate": aeron_rate(jars, directory, scale.jvm_seconds)})
    row = Row("100 B", "/s", got["ours rate"], "Aeron IPC", got["aeron rate"], ">= 1.00", "P12")
    row.says = "one producer to the flusher, 100 B, tmpfs"
    row.is_headline = True
    note = f"{jars.name if jars else 'no Aeron here'}: {' '.join(AERON_OPTIONS)}"
    return Part("messages", question, [row], note)


AERON_OPTIONS = (
    *("--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED"),
    *("--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED"),
    *("-Dagrona.disable.bounds.checks=true", "-Daeron.sample.messageLength=100"),
)


def aeron_rate(jars: Path, directory: Path, seconds: int) -> float:
    """The sample tells each second how many messages came through, and ends at SIGINT. The best
    second counts: the first ones run before the compiler is done."""
    media = f"-Daeron.dir={directory}/aeron"
    words = ["java", "-cp", f"{jars}/*", *AERON_OPTIONS, media]
    command = [*words, "io.aeron.samples.EmbeddedIpcThroughput"]
    done = subprocess.run(
        ["timeout", "-s", "INT", str(seconds), *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    rates = [1000 * count / ms for ms, count in reported(done.stdout)]
    if not rates:
        raise Failure(f"Aeron's sample: {done.stderr or done.stdout}")
    return max(rates)


def reported(text: str) -> Iterator[tuple[int, int]]:
    """Milliseconds and messages of each full second."""
    for ms, count in re.findall(r"Duration (\d+)ms - ([\d,]+) messages", text):
        if int(ms) >= 900:
            yield int(ms), int(count.replace(",", ""))


# ---- More cores than here ------------------------------------------------------------------------

CORES = (1, 2, 4, 8, 16, 32, 64)


def model(bed: Bed, scale: Scale) -> Part:
    """What 64 cores would do, computed from what two do: a model, not a measurement."""
    got = Rounds()
    for _ in rounds("model", scale.rounds):
        got.add("", bed.measure_log("contention", ring_bytes=RING_BYTES))
    rows = [
        Row("a cache line from core to core", "ns", got["handover"]),
        Row("append, one core", "ns", got["alone"]),
        Row("append, two cores at once, one each", "ns", got["together"], "alone", got["alone"]),
    ]
    curve = Curve("cores", "Model, not measured", "cores that append", "million records/s")
    for name, transfer in (("one L3 cache", 1), ("handover 3 times as long", 3)):
        for cores in CORES:
            curve.add(name, cores, [modelled(one, cores, transfer) for one in triples(got)])
    question = "what a core costs another, and what more cores would do: bench/README.md has how"
    return Part("model", question, rows, curves=[curve])


def triples(got: Rounds) -> list[Values]:
    columns = (got["handover"], got["alone"], got["together"])
    names = ("handover", "alone", "together")
    return [dict(zip(names, values)) for values in zip(*columns)]


def modelled(one: Values, cores: int, transfer: float) -> float:
    """Million records a second. Alone, a core appends at its own pace. Once several do, the tail's
    cache line goes from one to the next: only one compare-and-swap at a time succeeds, so the time
    between two appends is what two cores were measured to need, and it does not depend on how many
    queue for the line. Where a line takes longer from core to core, that much is added."""
    serial = one["together"] + (transfer - 1) * one["handover"]
    return 1e3 / max(one["alone"] / cores, serial if cores > 1 else one["alone"])
