# SPDX-License-Identifier: MIT
"""The part about asyncio: ten thousand coroutines that wait at once, beside eight threads, and
beside as many coroutines that wait for nothing of ours.

Knows the program python_waiting.py. Changes when a question is added.
"""

from __future__ import annotations

import sys

from bed import ROOT, Bed, Values, output_of
from rows import Part, Row

from parts.common import Rounds, Scale, rounds

COUNT = 10_000


def coroutines(bed: Bed, scale: Scale) -> Part:
    question = "asyncio: ten thousand coroutines that wait at once, beside eight threads that do"
    got = Rounds()
    for _ in rounds("coroutines", scale.rounds):
        for who in ("coroutines", "threads", "tasks"):
            got.add(f"{who} ", measure(bed, who))
    threads, tasks = "8 threads", "as many bare asyncio tasks"
    table = (
        ("durable records", "/s", "rate", "threads", threads, False),
        ("CPU a durable record", "us", "cpu", "threads", threads, True),
        ("CPU a second of waiting", "ms", "idle", "threads", threads, True),
        ("memory, waiting", "KiB", "memory", "tasks", tasks, True),
    )
    rows = [
        Row(what, unit, got[f"coroutines {key}"], name, got[f"{floor} {key}"], less=less)
        for what, unit, key, floor, name, less in table
    ]
    return Part("coroutines", question, rows)


def measure(bed: Bed, who: str) -> Values:
    with bed.log() as log:
        command = [sys.executable, str(ROOT / "bench/python_waiting.py"), who, str(log), str(COUNT)]
        text = output_of(command, PYTHONPATH=str(ROOT / "pyduralog"), **bed.environment())
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}
