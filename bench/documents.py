# SPDX-License-Identifier: MIT
"""Writes what a run has measured into the repository: bench/results.json, the pictures, and the
tables of README.md and bench/README.md, between markers. So the documents say what one run said.

Markers are comments of Markdown, `<!-- bench: NAME -->` and `<!-- bench: end -->`; what stands
between them is replaced. Knows tables.py and pictures.py. Changes when a
document has another table.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from textwrap import fill
from typing import Any

import tables
from bed import ROOT
from rows import Part

DOCUMENTS = ("README.md", "bench/README.md")


def write(results: dict[str, Any]) -> None:
    (ROOT / "bench/results.json").write_text(json.dumps(results, indent=1) + "\n")
    parts = [Part.from_json(part) for part in results["parts"]]
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(filled(path.read_text(), parts, results))
    try:
        import pictures
    except ImportError as failure:
        print(f"bench: no pictures: {failure}; make bench installs what they need", file=sys.stderr)
        return
    pictures.draw(parts, ROOT / "bench/pictures")


def filled(text: str, parts: list[Part], results: dict[str, Any]) -> str:
    def replacement(match: re.Match[str]) -> str:
        return f"{match[1]}\n{content(match[2], parts, results)}\n{match[3]}"

    markers = r"(<!-- bench: (?!end)([a-z -]+) -->)\n.*?(<!-- bench: end -->)"
    return re.sub(markers, replacement, text, flags=re.DOTALL)


def content(name: str, parts: list[Part], results: dict[str, Any]) -> str:
    """What a marker asks for."""
    curves = {curve.name: curve for part in parts for curve in part.curves}
    kind, _, what = name.partition(" ")
    if kind == "goals":
        return tables.goals_markdown(parts)
    if kind == "headlines":
        return tables.headlines_markdown(parts)
    if kind == "table":
        return f"```\n{tables.table(part for part in parts if part.rows)}\n```"
    if kind == "machine":
        return machine_lines(parts, results["machine"])
    if kind == "curve" and what in curves:
        return tables.curve_markdown(curves[what])
    return "(not measured)"


def machine_lines(parts: list[Part], where: dict[str, str]) -> str:
    told = "; ".join(f"{key} {value}" for key, value in where.items())
    dates = sorted(part.date for part in parts)
    times = ", ".join(f"{part.name} {part.seconds:.0f} s" for part in parts)
    text = f"{told}. Measured {dates[0]} to {dates[-1]}: {times}."
    return fill(text, tables.COLUMNS, break_on_hyphens=False)


if __name__ == "__main__":
    write(json.loads(Path(sys.argv[1]).read_text()))
