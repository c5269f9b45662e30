# SPDX-License-Identifier: MIT
"""How far a replay has come, for a person at a terminal: tqdm's bar where that is installed, a
plain line elsewhere, and nothing at all where stderr is no terminal.

Knows _reading's Turn. Changes when a person should see something else.
"""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import Any, Protocol

from ._reading import Turn

INTERVAL_S = 0.1  # between two updates of the plain line


class _Bar(Protocol):
    def update(self, count: int, /) -> Any: ...
    def close(self) -> Any: ...


class _Line:
    """The plain one."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._done = 0
        self._due = 0.0

    def update(self, count: int) -> None:
        self._done += count
        if monotonic() >= self._due:
            self._due = monotonic() + INTERVAL_S
            self._print("\r")

    def close(self) -> None:
        self._print("\r", "\n")

    def _print(self, start: str, end: str = "") -> None:
        percent = 100 * self._done // self._total if self._total else 100
        line = f"{start}{self._title}: {percent} % of {self._total:,} bytes{end}"
        print(line, end="", file=sys.stderr, flush=True)


def _bar(title: str, total: int) -> _Bar:
    try:
        from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]
    except ImportError:
        return _Line(title, total)
    bar: _Bar = tqdm(desc=title, total=total, unit="B", unit_scale=True)
    return bar


def shown(turn: Turn, path: str, start: int, end: int) -> Turn:
    """The same turn, and how far that is from `start` to `end`."""
    if sys.stderr is None or not sys.stderr.isatty():
        return turn
    bar = _bar(f"replay {os.path.basename(path)}", end - start)
    reached, going_on = start, True

    def showing(found: int, lsn: int) -> bool:
        nonlocal reached, going_on
        was_going_on, going_on = going_on, False
        try:
            goes_on = turn(found, lsn)
            lsn = max(reached, min(lsn, end))
            bar.update(lsn - reached)
            reached = lsn
            going_on = was_going_on and goes_on and lsn < end
            return goes_on
        finally:
            if was_going_on and not going_on:
                bar.close()

    return showing
