# SPDX-License-Identifier: MIT
"""The tables that a person reads: on the terminal, and in Markdown for the documents.

Knows rows.py. Changes when a table should say something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median
from textwrap import wrap

from rows import TIMES, Curve, Part, Row

COLUMNS = 100
HEAD = ("", "ours", "floor", "", "ratio of", "min - max", "goal")
GOALS_HEAD = ("", "what", "ours", "beside", "", "ratio", "min - max", "goal", "")
NUMBERS = {1, 2}  # the columns that are aligned to the right
GOAL_NUMBERS = {2, 3, 5}


def number(value: float) -> str:
    """Three digits, and thousands apart."""
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value)))):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def with_unit(values: list[float], unit: str) -> str:
    sign = "µs" if unit == "us" else unit
    return f"{number(median(values))} {sign}".rstrip() if values else ""


def range_of(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} - {max(ratios):.2f}" if ratios else ""


def figure_range(row: Row) -> str:
    """Of the ratios; without a floor, of the values."""
    if row.floor:
        return range_of(row.ratios())
    return f"{number(min(row.ours))} - {number(max(row.ours))}"


# ---- Every row -----------------------------------------------------------------------------------


def cells(row: Row) -> tuple[str, ...]:
    ratios, ours = row.ratios(), with_unit(row.ours, row.unit)
    if not ratios:
        return (row.what, ours, "", row.floor_name, "", "", row.goal)
    floor = with_unit(row.floor, row.unit)
    middle = f"{median(ratios):.2f} {noun_of(row)}"
    return (row.what, ours, floor, row.floor_name, middle, range_of(ratios), row.goal)


def table(parts: Iterable[Part]) -> str:
    """All parts, their columns aligned with one another."""
    parts = list(parts)
    lines = {part.name: [cells(row) for row in part.rows] for part in parts}
    everything = [HEAD, *(line for part in lines.values() for line in part)]
    widths = [max(len(line[i]) for line in everything) for i in range(len(HEAD))]
    text = [aligned(HEAD, widths, NUMBERS)]
    for part in parts:
        text += ["", *wrap(f"{part.name}: {part.question}", COLUMNS)]
        text += [aligned(line, widths, NUMBERS) for line in lines[part.name]]
        text += wrap(f"({part.note})", COLUMNS, initial_indent="  ") if part.note else []
    return "\n".join(text)


def aligned(line: tuple[str, ...], widths: list[int], numbers: set[int]) -> str:
    """Numbers to the right, words to the left."""
    words = [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths))
    ]
    return ("  " + "  ".join(words)).rstrip()


# ---- The goals -----------------------------------------------------------------------------------


def goals_of(parts: Iterable[Part]) -> list[Row]:
    """The rows that a goal is about, in the order of goals."""
    rows = [row for part in parts for row in part.rows if row.goal_name and row.figures()]
    return sorted(rows, key=lambda row: int(row.goal_name[1:]))


def goal_cells(row: Row) -> tuple[str, ...]:
    floor = with_unit(row.floor, row.unit)
    ratio = f"{median(row.ratios()):.2f}" if row.ratios() else ""
    ends = figure_range(row)
    state = "reached" if row.is_reached() else "not reached"
    ours = with_unit(row.ours, row.unit)
    return (row.goal_name, row.says, ours, floor, row.floor_name, ratio, ends, row.goal, state)


def goals_text(parts: Iterable[Part]) -> str:
    lines = [GOALS_HEAD, *(goal_cells(row) for row in goals_of(parts))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(GOALS_HEAD))]
    return "\n".join(aligned(line, widths, GOAL_NUMBERS) for line in lines)


def goals_markdown(parts: Iterable[Part]) -> str:
    head = ("", "", "ours", "beside", "", "ratio", "range", "goal", "")
    return markdown(head, [goal_cells(row) for row in goals_of(parts)], GOAL_NUMBERS)


def headlines_markdown(parts: Iterable[Part]) -> str:
    """For README.md: what a newcomer wants to know first."""
    lines = [
        (row.says, with_unit(row.ours, row.unit), relation(row))
        for row in goals_of(parts)
        if row.is_headline
    ]
    return markdown(("", "", "that is"), lines, {1})


def relation(row: Row) -> str:
    if not row.floor:
        return ""
    return f"{number(median(row.ratios()))} of the {noun_of(row)} of {row.floor_name}"


def noun_of(row: Row) -> str:
    """What the ratio is a ratio of."""
    if not row.less:
        return "speed"
    return "time" if row.unit in TIMES else "cost"


def markdown(head: tuple[str, ...], lines: Iterable[tuple[str, ...]], numbers: set[int]) -> str:
    rule = ("---:" if column in numbers else "---" for column in range(len(head)))
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


# ---- Curves --------------------------------------------------------------------------------------


def curve_markdown(curve: Curve) -> str:
    """A line a value of x, a column a line of the picture."""
    head = (curve.x, *curve.lines)
    return markdown(head, curve_lines(curve), set(range(len(head))))


def curve_text(curve: Curve) -> str:
    lines = [(curve.x, *curve.lines), *curve_lines(curve)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(aligned(line, widths, set(range(len(widths)))) for line in lines)


def curve_lines(curve: Curve) -> Iterator[tuple[str, ...]]:
    by_line = [dict(points) for points in curve.lines.values()]
    for x in sorted({x for points in by_line for x in points}):
        values = [number(median(points[x])) if x in points else "" for points in by_line]
        yield (amount(x, curve.x), *values)


def amount(value: float, axis: str) -> str:
    """Bytes by their usual names."""
    if "bytes" not in axis:
        return f"{value:g}"
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"
