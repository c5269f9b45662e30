# SPDX-License-Identifier: MIT
"""Parts about what a log costs beside its work: processor time, memory, and coming back.

Knows the programs idle, bandwidth, waiters, recovery, footprint and rocksdb_wal. Changes when a
question is added.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bed import Bed
from rows import Curve, Part, Row

from parts.common import MIB, Rounds, Scale, rounds

RECORD_BYTES = 1000
BATCH_RECORDS = 1000  # RocksDB syncs once for so many: about 1 MB
PRODUCERS = 2
IDLE_LOGS = 5


def cpu(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    total = scale.bytes // 2
    for _ in rounds("cpu", scale.rounds):
        got.add("ours ", bed.measure_log("bandwidth", RECORD_BYTES, total, PRODUCERS))
        if bed.has("peers/rocksdb_wal"):
            arguments = (RECORD_BYTES, total, BATCH_RECORDS)
            got.add("rocksdb ", bed.measure_peer("rocksdb_wal", *arguments))
    idle = Row("flusher, idle", "%", idle_percents(bed, scale.idle_seconds))
    idle.goal, idle.goal_name, idle.says = "<= 0.2", "P10", "the flusher's processor time, idle"
    flusher = cost_row("flusher, a durable GB", got, "ours flusher")
    flusher.goal, flusher.goal_name = "<= 0.25", "P10"
    flusher.is_headline = idle.is_headline = True
    flusher.says = "the flusher's processor time, a durable GB of 1 KB records"
    rows = [idle, flusher, cost_row("flusher and producers, a durable GB", got, "ours all")]
    question = (
        f"processor time: idle, {IDLE_LOGS} logs at once for {scale.idle_seconds} s; and for each "
        f"GB of {RECORD_BYTES} B records made durable, against RocksDB's WAL, synced after each "
        f"{RECORD_BYTES * BATCH_RECORDS // 10**6} MB batch of one writer, which is its cheapest way"
    )
    note = "RocksDB's WAL: what its writes take with the WAL less what they take without"
    return Part("cpu", question, rows, note)


def cost_row(what: str, got: Rounds, name: str) -> Row:
    return Row(what, "s/GB", got[name], "RocksDB's WAL", got["rocksdb wal"], less=True)


def idle_percents(bed: Bed, seconds: int) -> list[float]:
    """Of several logs at once: they do nothing, so they do not disturb one another."""
    with ThreadPoolExecutor(IDLE_LOGS) as pool:
        tries = [pool.submit(bed.measure_log, "idle", seconds) for _ in range(IDLE_LOGS)]
        return [one.result()["percent"] for one in tries]


def memory(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("memory", scale.rounds):
        got.add("", bed.measure_log("footprint", scale.bytes // 4))
    rows = [
        Row("producer", "MiB", got["producer"], goal="<= 0.5", goal_name="P13"),
        Row("flusher", "MiB", got["flusher"], goal="<= 16", goal_name="P13"),
    ]
    for row in rows:
        row.says = f"private memory beside the ring, {row.what}"
    question = f"private pages beside the ring, after {scale.bytes // 4 // MIB} MiB of appends"
    return Part("memory", question, rows)


# ---- Coming back ---------------------------------------------------------------------------------

SMALL = 512 * MIB


def recovery(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    small, large = min(SMALL, scale.large // 8), scale.large
    with bed.log() as one, bed.log() as other:
        for _ in rounds("recovery", scale.rounds):
            got.add("small ", bed.measure("recovery", one, small))
            got.add("large ", bed.measure("recovery", other, large))
    ready = Row("first durable append", "ms", got["large ready"], f"a log of {small // MIB} MiB")
    ready.floor, ready.less = got["small ready"], True
    ready.goal, ready.goal_name = "<= 1.3", "P11"
    ready.is_headline = True
    ready.says = f"SIGKILL of everything to the first durable append, {large // MIB} MiB log"
    reader = Row("a reader at the end", "ms", got["large reader"], f"a log of {small // MIB} MiB")
    reader.floor, reader.less = got["small reader"], True
    question = (
        f"after SIGKILL of producer and flusher, pages of the log dropped: a log of {large // MIB} "
        f"MiB against one of {small // MIB} MiB, from the open"
    )
    return Part("recovery", question, [ready, reader])


def log_sizes(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    curve = Curve("logs", "After SIGKILL of everything", "bytes of log", "milliseconds")
    for size in scale.log_sizes:
        with bed.log() as log:
            for _ in rounds(f"logs of {size // MIB} MiB", scale.curve_rounds):
                got.add(f"{size} ", bed.measure("recovery", log, size))
        curve.add("open to the first durable append", size, got[f"{size} ready"])
        curve.add("a reader that begins at the end", size, got[f"{size} reader"])
    question = "as the log grows: coming back after SIGKILL of everything, pages dropped"
    return Part("logs", question, curves=[curve])
