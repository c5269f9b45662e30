# SPDX-License-Identifier: MIT
"""Draws each curve as an SVG that can be read on a light and on a dark page: no background, greys
that stand out from both, text as text. The same results give the same bytes.

Knows matplotlib and rows.py. Changes when a picture should look otherwise.
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median

import matplotlib as mpl
import matplotlib.pyplot as plt
import tables
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rows import Curve, Part

INK = "#7d8590"  # seen on white and on black
COLOURS = ("#2f81f7", "#e3742f", "#2da160", "#a371f7", "#d29922", "#db61a2", "#3fb0ac", "#8b949e")
MARKS = "os^Dv"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "duralog",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
}
INCHES = (7.2, 4.0)
LEGEND_INSIDE = 4  # lines; more would lie on what they explain


def draw(parts: list[Part], directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        for curve in (curve for part in parts for curve in part.curves):
            figure, axes = plt.subplots(figsize=INCHES, layout="constrained")
            draw_curve(axes, curve)
            save(figure, directory / f"{curve.name}.svg")
            plt.close(figure)


def save(figure: Figure, path: Path) -> None:
    """Without a date; and with lines that end where they end."""
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in path.read_text().splitlines())
    path.write_text("\n".join(lines) + "\n")


def draw_curve(axes: Axes, curve: Curve) -> None:
    if curve.x == "at once":
        draw_bars(axes, curve)
    else:
        draw_lines(axes, curve)
    axes.set_title(curve.title, loc="left", fontsize=12)
    axes.set_ylabel(curve.y)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    if len(curve.lines) + len(curve.floors) > LEGEND_INSIDE and curve.x != "at once":
        axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    else:
        axes.legend(fontsize=9, loc="best")


# ---- Lines ---------------------------------------------------------------------------------------


def draw_lines(axes: Axes, curve: Curve) -> None:
    """Medians, and a band from the worst round to the best."""
    for number, (name, points) in enumerate(curve.lines.items()):
        xs = [place(x, curve.x) for x, _ in points]
        mark = MARKS[number % len(MARKS)]
        (line,) = axes.plot(xs, [median(values) for _, values in points], marker=mark, label=name)
        low, high = ([pick(values) for _, values in points] for pick in (min, max))
        axes.fill_between(xs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    for number, (name, values) in enumerate(curve.floors.items()):
        style = ("--", ":")[number % 2]
        axes.axhline(median(values), color=INK, linestyle=style, linewidth=1.4, label=name)
    scale(axes, curve)


def scale(axes: Axes, curve: Curve) -> None:
    xs = sorted({x for points in curve.lines.values() for x, _ in points})
    lowest = min(median(values) for points in curve.lines.values() for _, values in points)
    highest = max(median(values) for points in curve.lines.values() for _, values in points)
    if highest > 10 * lowest:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(curve.x)
    if curve.x != "percentile":
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([place(x, curve.x) for x in xs]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([tables.amount(x, curve.x) for x in xs])


def place(x: float, axis: str) -> float:
    """Percentiles stand as far from the left as they are rare: 90, 99 and 99.9 at equal steps."""

    return -math.log10(1 - x / 100) if axis == "percentile" else x


# ---- Bars ----------------------------------------------------------------------------------------


def draw_bars(axes: Axes, curve: Curve) -> None:
    """A group for each x, a bar for each line, with what it says above it. Lines are called `NAME,
    KIND`; a name has a colour, its first kind the full one."""
    xs = sorted({x for points in curve.lines.values() for x, _ in points})
    names = list(dict.fromkeys(line.split(",")[0] for line in curve.lines))
    width = 0.84 / len(curve.lines)
    drawn: set[str] = set()
    for number, (line, points) in enumerate(curve.lines.items()):
        name = line.split(",")[0]
        places = [xs.index(x) + (number - (len(curve.lines) - 1) / 2) * width for x, _ in points]
        heights = [median(values) for _, values in points]
        colour, alpha = COLOURS[names.index(name) % len(COLOURS)], 0.55 if name in drawn else 1
        drawn.add(name)
        axes.bar(places, heights, 0.9 * width, color=colour, alpha=alpha, label=line)
        for x, height in zip(places, heights):
            text = short(height)
            axes.text(x, height * 1.08, text, ha="center", va="bottom", fontsize=8, rotation=90)
    axes.set_yscale("log")
    axes.set_ylim(top=axes.get_ylim()[1] * 4)
    axes.set_xticks(range(len(xs)), [f"{x:g} at once" for x in xs])


def short(value: float) -> str:
    return f"{value / 1000:.3g}k" if value >= 1000 else f"{value:.3g}"
