# SPDX-License-Identifier: MIT
"""What all parts share: how much is done, and values gathered round by round.

Knows rows.py's idea of rounds. Changes when a scale has another measure.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

SIZES = (("32 B", 32), ("100 B", 100), ("1 KiB", KIB))


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    rounds: int
    bytes: int  # made durable, and read, at a time
    operations: int  # of one waiter, a round
    milliseconds: int  # of many waiters, and many producers
    jvm_seconds: int  # a run of Aeron, of which the last second counts
    idle_seconds: int
    large: int  # the larger log whose recovery is measured
    curve_rounds: int
    log_sizes: tuple[int, ...] = ()  # of the curve over the log's size


FULL = Scale(
    rounds=5,
    bytes=GIB,
    operations=4000,
    milliseconds=1000,
    jvm_seconds=6,
    idle_seconds=20,
    large=4 * GIB,
    curve_rounds=3,
    log_sizes=(128 * MIB, 512 * MIB, 2 * GIB),
)
LONG = Scale(**{**vars(FULL), "log_sizes": (128 * MIB, 512 * MIB, 2 * GIB, 8 * GIB, 20 * GIB)})
QUICK = Scale(
    rounds=1,
    bytes=GIB // 8,
    operations=500,
    milliseconds=200,
    jvm_seconds=3,
    idle_seconds=3,
    large=GIB,
    curve_rounds=1,
)


class Rounds:
    """Values by key, one a round, in the order of rounds."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, prefix: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.values[f"{prefix}{name}"].append(value)

    def __getitem__(self, key: str) -> list[float]:
        return self.values.get(key, [])


def rounds(part: str, count: int) -> Iterator[int]:
    """Counts them, and shows that on a terminal."""
    for number in range(count):
        if sys.stderr.isatty():
            print(f"\r{part}: {number + 1}/{count} \033[K", end="", file=sys.stderr)
        yield number
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def best(pick: Callable[..., float], *columns: list[float]) -> list[float]:
    """Round by round, the best of several floors; those that were not measured do not count."""
    return [pick(values) for values in zip(*(column for column in columns if column))]
