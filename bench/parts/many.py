# SPDX-License-Identifier: MIT
"""The part about many waiters, each for its own record, and the peers that offer the same.

Knows the program waiters and those of bench/peers. Changes when a peer is added.
"""

from __future__ import annotations

from bed import Bed
from rows import Curve, Part, Row

from parts.common import Rounds, Scale, best, rounds

KINDS = ("threads", "processes")
COUNTS = (1, 8, 64)
NOUNS = {"threads": "thread", "processes": "process"}
MANY = (1, 4, 16, 64, 256, 1000)

# Name, program, kinds: RocksDB lets one process write.
Peer = tuple[str, str, tuple[str, ...]]
PEERS: tuple[Peer, ...] = (
    ("RocksDB", "rocksdb", ("threads",)),
    ("SQLite", "sqlite", KINDS),
    ("LMDB", "lmdb", KINDS),
)
SETTINGS = (
    "RocksDB: WriteOptions.sync=true, WAL, other options its defaults; SQLite: journal_mode=WAL, "
    "synchronous=FULL, one transaction an INSERT, a connection a worker, writers queue on a mutex; "
    "LMDB: no flags, so each commit syncs; one put a transaction"
)


def waiters(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    present = [peer for peer in PEERS if bed.has(f"peers/{peer[1]}")]
    for _ in rounds("waiters", scale.rounds):
        for kind in KINDS:
            for count in COUNTS:
                measure_all(bed, got, kind, count, scale.milliseconds, present)
    rows = [row for kind in KINDS for row in against_one(got, kind)]
    rows += [row for kind in KINDS for row in against_peers(got, kind, present)]
    absent = [name for name, program, _ in PEERS if not bed.has(f"peers/{program}")]
    note = SETTINGS + (f"; not here: {', '.join(absent)}" if absent else "")
    question = (
        "each waits for its own record of 100 B; commits a second, against one waiter, and against "
        "the peers; the best of them counts"
    )
    return Part("waiters", question, rows, note, [peers_curve(got)])


def measure_all(
    bed: Bed,
    got: Rounds,
    kind: str,
    count: int,
    milliseconds: int,
    present: list[Peer],
) -> None:
    got.add(f"DuraLog {count} {kind} ", bed.measure_log("waiters", kind, count, milliseconds))
    for name, program, kinds in present:
        if kind in kinds:
            values = bed.measure_peer(program, kind, count, milliseconds)
            got.add(f"{name} {count} {kind} ", values)


def workers(count: int, kind: str) -> str:
    return f"{count} {kind if count > 1 else NOUNS[kind]}"


def against_one(got: Rounds, kind: str) -> list[Row]:
    one = got[f"DuraLog 1 {kind} rate"]
    rows = [
        Row(workers(count, kind), "/s", got[f"DuraLog {count} {kind} rate"], "one waiter", one)
        for count in COUNTS[1:]
    ]
    rows[-1].goal, rows[-1].goal_name = ">= 20", "P5"
    rows[-1].says = f"64 {kind} that wait, against one"
    return rows


def against_peers(got: Rounds, kind: str, present: list[Peer]) -> list[Row]:
    """Processes, too, are held against the best of all peers, those with threads included."""
    rows = []
    for count in COUNTS:
        ours = got[f"DuraLog {count} {kind} rate"]
        columns = []
        for name, _, kinds in present:
            theirs = got[f"{name} {count} {kind if kind in kinds else 'threads'} rate"]
            columns.append(theirs)
            if kind in kinds:
                rows.append(Row(workers(count, kind), "/s", ours, name, theirs))
        if present and (kind == "threads" or count == 64) and count != 8:
            goal, who = (">= 1.1", "1 waiter") if count == 1 else (">= 3", f"64 {kind} that wait")
            row = Row(workers(count, kind), "/s", ours, "best of peers", best(max, *columns))
            row.goal, row.goal_name, row.says = goal, "P5", f"{who}, against the peers"
            row.is_headline = count == 64
            rows.append(row)
    return rows


def peers_curve(got: Rounds) -> Curve:
    title = "Commits, each waited for"
    curve = Curve("peers", title, "at once", "commits/s")
    for name in ("DuraLog", *(peer[0] for peer in PEERS)):
        for kind in KINDS:
            for count in COUNTS:
                curve.add(f"{name}, {kind}", count, got[f"{name} {count} {kind} rate"])
    return curve
