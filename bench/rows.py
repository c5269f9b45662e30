# SPDX-License-Identifier: MIT
"""What was measured, beside its floor: rows, their ratios, and the table that a person reads.

Knows nobody. Changes when the table should say something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from textwrap import wrap
from typing import Any


@dataclass
class Row:
    """One line of the table. `ours` and `floor` hold a value a round; those of the same round were
    measured right after one another, so ratios are taken round by round."""

    what: str
    unit: str
    ours: list[float]
    floor_name: str = ""
    floor: list[float] = field(default_factory=list)
    goal: str = ""
    in_time: bool = False  # the ratio is of times (smaller is better), not of speeds

    def ratios(self) -> list[float]:
        """Speeds: ours over the floor's, whether they are told as rates or as times."""
        pairs = zip(self.ours, self.floor)
        if self.is_time() and not self.in_time:
            return [floor / ours for ours, floor in pairs if ours]
        return [ours / floor for ours, floor in pairs if floor]

    def is_time(self) -> bool:
        return self.unit in {"ns", "us", "ms"}

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": spread(self.ours),
            "floor": {"name": self.floor_name, **spread(self.floor)},
            "ratio": {"of": "times" if self.in_time else "speeds", **spread(self.ratios())},
            "goal": self.goal,
        }


@dataclass
class Part:
    """A question and its answer."""

    name: str
    question: str
    rows: list[Row]
    note: str = ""  # what could not be measured, and why

    def as_json(self) -> dict[str, Any]:
        rows = [row.as_json() for row in self.rows]
        return {"name": self.name, "question": self.question, "rows": rows, "note": self.note}


def spread(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"rounds": []}
    ends = {"min": min(values), "max": max(values)}
    return {"median": median(values), **ends, "rounds": values}


# ---- The table -----------------------------------------------------------------------------------

COLUMNS = 100
HEAD = ("", "ours", "floor", "", "ratio of", "min - max", "goal")


def number(value: float) -> str:
    """Three digits, and thousands apart."""
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value)))):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def cells(row: Row) -> tuple[str, ...]:
    ratios = row.ratios()
    ours = f"{number(median(row.ours))} {row.unit}".rstrip()
    if not ratios:
        return (row.what, ours, "", row.floor_name, "", "", row.goal)
    floor = f"{number(median(row.floor))} {row.unit}".rstrip()
    middle = f"{median(ratios):.2f} {'time' if row.in_time else 'speed'}"
    ends = f"{min(ratios):.2f} - {max(ratios):.2f}"
    return (row.what, ours, floor, row.floor_name, middle, ends, row.goal)


def table(parts: Iterable[Part]) -> str:
    """All parts, their columns aligned with one another."""
    parts = list(parts)
    lines = {part.name: [cells(row) for row in part.rows] for part in parts}
    everything = [HEAD, *(line for part in lines.values() for line in part)]
    widths = [max(len(line[i]) for line in everything) for i in range(len(HEAD))]
    text = [aligned(HEAD, widths)]
    for part in parts:
        text += ["", *wrap(f"{part.name}: {part.question}", COLUMNS)]
        text += [aligned(line, widths) for line in lines[part.name]]
        text += [f"  ({part.note})"] if part.note else []
    return "\n".join(text)


def aligned(line: tuple[str, ...], widths: list[int]) -> str:
    """Numbers to the right, words to the left."""
    words = [
        cell.rjust(width) if column in {1, 2} else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths))
    ]
    return ("  " + "  ".join(words)).rstrip()
