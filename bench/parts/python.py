# SPDX-License-Identifier: MIT
"""The part about Python: what a call costs beside orjson alone, and whole workloads beside those of
the earlier library, made anew.

Knows the program python_measure.py. Changes when a question is added.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from bed import ROOT, Bed, Values, output_of
from rows import Part, Row

from parts.common import MIB, Rounds, Scale, rounds

CALLS = 20_000  # records; far fewer than the ring takes
APPENDING = ("threads", "processes", "many", "bytes")
REPLAYING = ("loads", "dicts", "bytes")


def python(bed: Bed, scale: Scale) -> Part:
    question = (
        "Python: calls beside a loop of orjson alone; and whole workloads, to the last sync, "
        "beside the earlier library made anew: 8 threads' dicts, replayed by means of 4 processes"
    )
    if find_spec("orjson") is None:
        return Part("python", question, [], f"no orjson in {sys.executable}, no floor")
    count = max(100_000, scale.bytes // MIB * 400)  # the earlier library's need some seconds
    got = Rounds()
    for _ in rounds("python", scale.rounds):
        got.add("", on_log(bed, "calls", "", CALLS))
        got.add("earlier append ", on_file(bed, "append", count))
        for who in APPENDING:
            got.add(f"{who} append ", on_log(bed, "append", who, 4 * count))
        got.add("earlier replay ", on_file(bed, "replay", count))
        for who in REPLAYING:
            got.add(f"{who} replay ", on_log(bed, "replay", who, count))
    return Part("python", question, [*call_rows(got), *workload_rows(got)])


def measure(bed: Bed, *words: str) -> Values:
    command = [sys.executable, str(ROOT / "bench/python_measure.py"), *words]
    text = output_of(command, PYTHONPATH=str(ROOT / "pyduralog"), **bed.environment())
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def on_log(bed: Bed, question: str, who: str, count: int) -> Values:
    with bed.log() as log:
        return measure(bed, question, *filter(None, [who]), str(log), str(count))


def on_file(bed: Bed, question: str, count: int) -> Values:
    file = bed.new_path()
    try:
        return measure(bed, question, "earlier", str(file), str(count))
    finally:
        file.unlink()


def call_rows(got: Rounds) -> list[Row]:
    table = (
        ("append", "append", "dumps", ">= 0.30", "P6"),
        ("append_many", "append_many", "dumps", ">= 0.75", "P6"),
        ("append_many, bytes", "append_many-bytes", "dumps", "", ""),
        ("replay", "replay", "loads", ">= 0.80", "P7"),
        ("replay, bytes", "replay-bytes", "loads", "", ""),
    )
    rows = [
        Row(what, "ns", got[key], f"orjson.{floor} alone", got[floor], goal, name)
        for what, key, floor, goal, name in table
    ]
    for row in rows:
        row.says = f"Python: {row.what} of dicts, one thread"
        row.is_headline = row.what in {"append", "replay"}
    return rows


def workload_rows(got: Rounds) -> list[Row]:
    table = (
        ("8 threads", "threads append", ">= 6", "P6"),
        ("8 processes", "processes append", ">= 11", "P6"),
        ("append_many of dicts", "many append", ">= 15", "P6"),
        ("append_many of bytes", "bytes append", ">= 20", "P6"),
        ("replay of dicts, one process", "dicts replay", ">= 2.75", "P7"),
        ("replay of bytes, one process", "bytes replay", ">= 20", "P7"),
        ("orjson.loads alone", "loads replay", "", ""),
    )
    rows = []
    for what, key, goal, name in table:
        floor = got[f"earlier {key.split()[1]} rate"]
        row = Row(what, "/s", got[f"{key} rate"], "the earlier library's dicts", floor, goal, name)
        row.says = f"Python: {what}"
        rows.append(row)
    return rows
