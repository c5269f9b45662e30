# SPDX-License-Identifier: MIT
"""On what a result was measured: the processor, the kernel, the file system and its device.

Reads what Linux tells under /proc and /sys. Knows nobody.
"""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path


def describe(directory: Path) -> dict[str, str]:
    """The machine, and what holds `directory`."""
    return {
        "cpu": f"{os.cpu_count()} x {cpu_model()}",
        "memory": memory(),
        "kernel": platform.release(),
        **file_system(directory),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load": f"{os.getloadavg()[0]:.2f} before",
    }


def first_value(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def cpu_model() -> str:
    return first_value("/proc/cpuinfo", "model name") or platform.machine()


def memory() -> str:
    kib = first_value("/proc/meminfo", "MemTotal").split()
    return f"{int(kib[0]) / (1 << 20):.0f} GiB" if kib else ""


def file_system(directory: Path) -> dict[str, str]:
    """The mount whose device number is the directory's; several share one where it is bound."""
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            kind, source, options = after.split()[:3]
            return {"file system": f"{kind} ({options})", "device": block_device(number, source)}
    return {"file system": "?", "device": number}


def block_device(number: str, source: str) -> str:
    """Its name, and what the kernel thinks of its write cache."""
    queue = next(
        (
            path
            for up in ("", "../")
            if (path := Path(f"/sys/dev/block/{number}/{up}queue")).exists()
        ),
        None,
    )
    if queue is None:
        return source
    rotational = (queue / "rotational").read_text().strip() == "1"
    cache = (queue / "write_cache").read_text().strip()
    return f"{source}, {'said to rotate' if rotational else 'solid state'}, {cache}"
