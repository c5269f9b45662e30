# SPDX-License-Identifier: MIT
"""Parts that ask what something costs as it grows: the record, the ring, the crowd of waiters.

Knows the programs append, bandwidth and waiters. Changes when a curve is added.
"""

from __future__ import annotations

from bed import Bed
from rows import Curve, Part

from parts.common import GIB, KIB, MIB, Rounds, Scale, best, rounds
from parts.disk import PRODUCERS, add_fio, fio_best
from parts.many import KINDS, MANY

RECORDS = (16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB)
RECORDS_MAX = 3_000_000  # at a time: small ones take long for few bytes
RINGS = (MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, GIB)
WAITERS_MS = 500
OVERWRITES = 500


def sizes(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("sizes", scale.curve_rounds):
        add_fio(bed, got, scale.bytes)
        for length in RECORDS:
            total = min(scale.bytes // 4, RECORDS_MAX * length)
            got.add(f"{length} ", bed.measure_log("bandwidth", length, total, PRODUCERS))
            got.add(f"{length} append ", bed.measure_log("append", length))
    title = "Payload a second, over the size of a record"
    curve = Curve("sizes", title, "bytes a record", "MB/s")
    for length in RECORDS:
        curve.add("durable, two producers", length, got[f"{length} payload"])
        curve.add("the same, with what the format adds", length, got[f"{length} log"])
        for name, key in (("committed, one producer", "ours"), ("copy + CRC32C", "crc32c")):
            times = got[f"{length} append {key}"]
            curve.add(name, length, [1e3 * length / ns for ns in times])
    for state, name in (("old", "fio, overwriting"), ("new", "fio, new file")):
        if fio_best(got, state):
            curve.floors[name] = fio_best(got, state)
    load = Curve("load", "Processor time, two producers", "bytes a record", "% of a core")
    for length in RECORDS:
        for name, key in (("the flusher", "flusher"), ("both producers and the flusher", "all")):
            pairs = zip(got[f"{length} {key}"], got[f"{length} payload"])
            load.add(name, length, [100 * cost * rate / 1e3 for cost, rate in pairs])
    return Part("sizes", "as records grow: payload committed and durable", curves=[curve, load])


def rings(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("rings", scale.curve_rounds):
        for ring in RINGS:
            arguments = (KIB, scale.bytes // 4, PRODUCERS)
            values = bed.measure_log("bandwidth", *arguments, ring_bytes=ring)
            got.add(f"{ring} ", values)
            got.add(f"{ring} append ", bed.measure_log("append", KIB, ring_bytes=ring))
    speed = Curve("rings", "Durable bandwidth, 1 KiB records", "bytes of ring", "MB/s")
    start = Curve("attach", "Opening a new log", "bytes of ring", "milliseconds")
    laps = Curve("laps", "Appending 1 KiB, one lap of the ring", "bytes of ring", "nanoseconds")
    for ring in RINGS:
        laps.add("append, undrained", ring, got[f"{ring} append ours"])
        laps.add("copy + CRC32C in a buffer as large", ring, got[f"{ring} append crc32c"])
        speed.add("two producers", ring, got[f"{ring} payload"])
        start.add("first process", ring, got[f"{ring} open"])
    return Part(
        "rings",
        "as the ring grows: bandwidth, an append, and the time to open",
        curves=[speed, laps, start],
    )


def crowds(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    scratch = bed.directory / "scratch"
    for _ in rounds("crowds", scale.curve_rounds):
        got.add("floor ", bed.measure_log("latency", scratch, OVERWRITES, 0))
        for kind in KINDS:
            for count in MANY:
                values = bed.measure_log("waiters", kind, count, WAITERS_MS)
                got.add(f"{count} {kind} ", values)
    rate = Curve("waiters", "Each waits for its own record", "waiters", "commits/s")
    wait = Curve("waits", "How long each waits", "waiters", "microseconds")
    cost = Curve("cost", "What a commit costs those who wait", "waiters", "a commit")
    scratch.unlink()
    rate.floors["4 KiB overwrites, one after another"] = [
        1e6 / us for us in best(min, got["floor direct.p50"], got["floor fdatasync.p50"])
    ]
    for kind in KINDS:
        for count in MANY:
            rate.add(kind, count, got[f"{count} {kind} rate"])
            wait.add(f"{kind}, p50", count, got[f"{count} {kind} wait.p50"])
            wait.add(f"{kind}, p99", count, got[f"{count} {kind} wait.p99"])
            cost.add(f"{kind}, us of processor time", count, got[f"{count} {kind} cpu"])
            cost.add(f"{kind}, context switches", count, got[f"{count} {kind} switches"])
    return Part(
        "crowds",
        "as waiters grow: commits a second, and how long each waits",
        curves=[rate, wait, cost],
    )
