# SPDX-License-Identifier: MIT
"""Python programs run as processes of their own: what they print, and that they end as told.

Knows where the package and the library under test lie (conftest.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import BUILD, ROOT

HANG_S = 300  # what takes longer hangs, however busy the machine

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make this failure")

# What a failure's program prints: the class and errno of what open, append or wait raised, and its
# sentence.
OPEN = """
import errno, sys
import duralog
from duralog import DuraLog, DuraLogError

def tell(error):
    print(type(error).__name__, errno.errorcode.get(getattr(error, "errno", None), "-"))
    print(error)
    sys.exit()

try:
    log = DuraLog(sys.argv[1])
    log.append("record", level="durable", timeout=200)
    print("works")
except DuraLogError as error:
    tell(error)
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog"), "B": str(BUILD), **more}


def run(
    script: str, *arguments: object, wrapper: tuple[object, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, within `wrapper`, with `more` in its environment."""
    command = [*wrapper, sys.executable, "-c", script, *arguments]
    return subprocess.run(
        [str(part) for part in command],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )


def fails(path: Path, kind: str, *parts: str, script: str = OPEN, **options: Any) -> str:
    """That the program ends in good order, having met `kind` ("DuraLogIOError EIO") with a sentence
    that has all these parts. Returns the sentence."""
    done = run(script, path, **options)
    assert (done.returncode, done.stderr) == (0, ""), done
    told, _, sentence = done.stdout.partition("\n")
    assert told == kind, done.stdout
    for part in parts:
        assert part in sentence
    return sentence


def works(path: Path, script: str = OPEN, **options: Any) -> None:
    done = run(script, path, **options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "works\n", "")


def in_namespace(*commands: str, after: str = ":") -> tuple[object, ...]:
    """A wrapper: mounts of its own, in which the shell commands are run before, and one after."""
    script = " && ".join([*commands, f'{{ "$@"; status=$?; {after}; exit $status; }}'])
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
