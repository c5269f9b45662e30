# SPDX-License-Identifier: MIT
"""The Python interpreters of this machine, and, when asked for, those that can be fetched.

    python tests/system/interpreters.py          list them
    python tests/system/interpreters.py fetch    fetch what uv can, then list them

Knows where pyenv, uv and Debian keep theirs. Changes when another kind of interpreter comes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

WANTED = [
    *("3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"),
    *("3.13t", "3.14t", "3.15t", "pypy3.9", "pypy3.10", "pypy3.11"),
]
PLACES = [
    *("/usr/bin/python3.*", "/usr/local/bin/python3.*", "/usr/bin/pypy3"),
    *("~/.pyenv/versions/*/bin/python3", "~/.local/share/uv/python/*/bin/python3"),
    "~/.local/share/uv/python/*/bin/pypy3",
]
ASK = (
    "import sys, sysconfig; print(sys.implementation.name, *sys.version_info[:3], "
    "int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))"
)


class Interpreter(NamedTuple):
    kind: str
    version: tuple[int, ...]
    free_threaded: bool
    path: Path

    def __str__(self) -> str:
        version = ".".join(map(str, self.version))
        return f"{self.kind}-{version}{'t' if self.free_threaded else ''}"


def ask(path: Path) -> Interpreter | None:
    try:
        done = subprocess.run([path, "-c", ASK], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    kind, *numbers = done.stdout.split()
    *version, free_threaded = map(int, numbers)
    return Interpreter(kind, tuple(version), bool(free_threaded), path)


def expand(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    return sorted(Path("/").glob(str(path.relative_to("/"))))


def find_interpreters(oldest: tuple[int, int] = (3, 9)) -> list[Interpreter]:
    """One of each kind and minor version, the oldest first."""
    found: dict[tuple[object, ...], Interpreter] = {}
    for path in [file for pattern in PLACES for file in expand(pattern)]:
        answer = None if path.name.endswith("-config") else ask(path)
        if answer is not None and answer.version >= oldest:
            found.setdefault((answer.kind, answer.version[:2], answer.free_threaded), answer)
    return [found[key] for key in sorted(found)]


def fetch() -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    for name in WANTED:
        done = subprocess.run([uv, "python", "install", name], capture_output=True, text=True)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1:] or [""]
            print(f"{name} cannot be had: {reason[0].strip()}")


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        fetch()
    for interpreter in find_interpreters():
        print(f"{interpreter}  {interpreter.path}")
