#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is anything slower than it was? Compares what was measured now with what was committed, ratio by
ratio: floors and peers were measured beside ours both times, so that a slower machine moves both.

A row is worse if both runs say so: the median now is worse than the worst round then, and the best
round now is worse than the median then, by more than a twentieth each time. So its noise is the
range of its own rounds. A row that was committed and is not there any more fails, too, and so does
a comparison of nothing.

usage: bench/guard.py COMMITTED MEASURED, two files as bench/run writes them. Exit status 1 if
something is worse. Knows rows.py. Changes when noise is taken in another way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from rows import Part, Row

SLACK = 0.05  # what differs by less is the same, however quiet the rounds were

Results = dict[str, Any]


def judge(committed: Results, measured: Results) -> int:
    """Prints each row that is worse; 1 if there is one."""
    before, now = rows_of(committed), rows_of(measured)
    parts = {part for part, *_ in now}
    expected = {key: row for key, row in before.items() if key[0] in parts}
    breaches = list(compare(expected, now))
    for sentence in breaches:
        print(f"guard: {sentence}")
    if not expected:
        print("guard: nothing to compare")
        return 1
    print(f"guard: {len(expected)} rows compared, {len(breaches)} worse")
    return 1 if breaches else 0


def rows_of(results: Results) -> dict[tuple[str, str, str], Row]:
    """Those that say something apart from the machine: ratios, and values that have a goal."""
    parts = [Part.from_json(part) for part in results["parts"]]
    rows = ((part.name, row) for part in parts for row in part.rows)
    return {
        (part, row.what, row.floor_name): row
        for part, row in rows
        if row.figures() and (row.floor or row.goal)
    }


def compare(
    before: dict[tuple[str, str, str], Row], now: dict[tuple[str, str, str], Row]
) -> Iterator[str]:
    for key, old in before.items():
        name = ", ".join(word for word in key if word)
        if key not in now:
            yield f"{name}: was not measured"
        elif is_worse(old, now[key]):
            then, today = median(old.figures()), median(now[key].figures())
            worst = worst_of(old)
            yield f"{name}: {today:.3g}, was {then:.3g}, in the worst round {worst:.3g}"


def worst_of(row: Row) -> float:
    return max(row.figures()) if row.is_less_better() else min(row.figures())


def is_worse(old: Row, new: Row) -> bool:
    sign = -1 if old.is_less_better() else 1  # so that more is better
    then = [sign * value for value in old.figures()]
    today = [sign * value for value in new.figures()]
    return is_below(median(today), min(then)) and is_below(max(today), median(then))


def is_below(value: float, bound: float) -> bool:
    return value < bound - SLACK * abs(bound)


if __name__ == "__main__":
    sys.exit(judge(*(json.loads(Path(name).read_text()) for name in sys.argv[1:3])))
