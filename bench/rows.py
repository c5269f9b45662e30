# SPDX-License-Identifier: MIT
"""What was measured: rows beside their floors, curves, and the parts that hold them.

They go to results.json and come back from it, so that tables, pictures and the guard all speak of
what a run has written down. Knows nobody. Changes when a result has something else to say.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any

DIGITS = 5
TIMES = {"ns", "us", "ms"}


@dataclass
class Row:
    """One line of the table. `ours` and `floor` hold a value a round; those of the same round were
    measured right after one another, so ratios are taken round by round. Without a floor the value
    itself is held against the goal."""

    what: str
    unit: str
    ours: list[float]
    floor_name: str = ""
    floor: list[float] = field(default_factory=list)
    goal: str = ""  # ">= 0.60" or "<= 1.5", of the ratio; without a floor of the value
    goal_name: str = ""  # "P1"
    says: str = ""  # what the goal is about, for the table of goals
    less: bool = False  # the ratio is of times or costs: less is better
    is_headline: bool = False  # stands in README.md, too

    def ratios(self) -> list[float]:
        """Speeds: ours over the floor's, whether they are told as rates or as times. With `less`
        ours over the floor's as they are told."""
        pairs = list(zip(self.ours, self.floor))
        if self.unit in TIMES and not self.less:
            return [floor / ours for ours, floor in pairs if ours]
        return [ours / floor for ours, floor in pairs if floor]

    def figures(self) -> list[float]:
        """What the goal is about, and what the guard compares, round by round."""
        return self.ratios() if self.floor else self.ours

    def is_less_better(self) -> bool:
        return self.less or self.goal.startswith("<")

    def is_reached(self) -> bool:
        sign, bound = self.goal.split()
        middle = median(self.figures())
        return middle >= float(bound) if sign == ">=" else middle <= float(bound)


@dataclass
class Curve:
    """How something changes as something grows: `lines` by name, each a list of (x, values by
    round); `floors` are levels that do not depend on x."""

    name: str  # the picture's file name
    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, list[float]]]] = field(default_factory=dict)
    floors: dict[str, list[float]] = field(default_factory=dict)

    def add(self, line: str, x: float, values: list[float]) -> None:
        if values:
            self.lines.setdefault(line, []).append((x, values))


@dataclass
class Part:
    """A question and its answer."""

    name: str
    question: str
    rows: list[Row] = field(default_factory=list)
    note: str = ""  # settings; what could not be measured, and why
    curves: list[Curve] = field(default_factory=list)
    seconds: float = 0
    date: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**rounded(asdict(self)), "rows": [row_as_json(row) for row in self.rows]}

    @classmethod
    def from_json(cls, json: dict[str, Any]) -> Part:
        names = {one.name for one in fields(Row)}
        rows = [Row(**{k: v for k, v in row.items() if k in names}) for row in json["rows"]]
        curves = [Curve(**curve) for curve in json["curves"]]
        return cls(**{**json, "rows": rows, "curves": curves})


def row_as_json(row: Row) -> dict[str, Any]:
    """With the ratio, which a reader of the file need not compute; it is not read back."""
    told: dict[str, Any] = rounded(asdict(row))
    if row.floor and row.ratios():
        ratios = row.ratios()
        told["ratio"] = rounded({"median": median(ratios), "min": min(ratios), "max": max(ratios)})
    if row.goal and row.figures():
        told["reached"] = row.is_reached()
    return told


def rounded(value: Any) -> Any:
    """No more digits than were measured."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return value
