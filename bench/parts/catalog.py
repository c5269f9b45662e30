# SPDX-License-Identifier: MIT
"""All parts by name, in the order in which they run, and the Debian packages that each asks for.

Knows the modules beside it. Changes when a part is added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bed import Bed
from rows import Part

from parts import coroutines, curves, disk, many, memory, python, reading, upkeep
from parts.common import Scale


@dataclass(frozen=True)
class Entry:
    measure: Callable[[Bed, Scale], Part]
    packages: tuple[str, ...] = ()
    is_curve: bool = False


ROCKSDB = ("librocksdb-dev",)
ALL = {
    "append": Entry(memory.append, ("libisal-dev",)),
    "producers": Entry(memory.producers),
    "bandwidth": Entry(disk.bandwidth, ("fio",)),
    "latency": Entry(disk.latency),
    "waiters": Entry(many.waiters, (*ROCKSDB, "liblmdb-dev", "libsqlite3-dev")),
    "python": Entry(python.python),
    "coroutines": Entry(coroutines.coroutines),
    "reader": Entry(reading.reader),
    "busy": Entry(disk.busy),
    "cpu": Entry(upkeep.cpu, ROCKSDB),
    "recovery": Entry(upkeep.recovery),
    "messages": Entry(memory.messages, ("default-jre-headless", "maven")),
    "memory": Entry(upkeep.memory),
    "checksum": Entry(memory.checksum, ("libisal-dev",)),
    "sizes": Entry(curves.sizes, ("fio", "libisal-dev"), is_curve=True),
    "rings": Entry(curves.rings, is_curve=True),
    "crowds": Entry(curves.crowds, is_curve=True),
    "logs": Entry(upkeep.log_sizes, is_curve=True),
    "model": Entry(memory.model, is_curve=True),
}
CURVES = tuple(name for name, entry in ALL.items() if entry.is_curve)
