# SPDX-License-Identifier: MIT
"""What the tests of the whole share: where checkout and build are, and how to run a program.

Knows the environment's B, as the Makefile does. Changes when a test needs more than that.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def build() -> Path:
    return ROOT / os.environ.get("B", "build")


@pytest.fixture
def run():
    """Runs a command in the checkout and returns what it printed; another exit status fails."""

    def run_command(*command: str | Path, status: int = 0, **environment: str) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    return run_command
