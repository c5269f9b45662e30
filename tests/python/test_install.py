# SPDX-License-Identifier: MIT
"""`pip install .` from a checkout, into a fresh environment. The source distribution and the wheel
that is built from it are tests/system/test_wheel.py's.

Needs the packages that the build asks for (pyproject.toml), from wherever pip gets them. Knows what
the wheel is to hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, passing_place, stop

UNWANTED = shutil.ignore_patterns(
    "build", ".git", "*.egg-info", "__pycache__", ".*_cache", "shared"
)
USE = """
import sys
from duralog import DuraLog, _native
assert _native.library().path.startswith(sys.prefix), _native.library().path
with DuraLog(sys.argv[1]) as log:
    log.append({"event": "installed"}, level="durable")
    print(list(log.replay()))
"""


def run(*command: object, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DURALOG_", "PYTHON"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def fresh_environment(place: Path, *packages: str) -> Path:
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    python = place / "venv/bin/python"
    if packages:
        run(python, "-m", "pip", "install", *packages, cwd=place)
    return python


def check_use(python: Path, place: Path) -> None:
    log = place / "app.log"
    assert run(python, "-c", USE, log, cwd=place) == "[{'event': 'installed'}]\n"
    shown = run(python, "-m", "duralog", "cat", "--json", log, cwd=place)
    assert '"event"' in shown
    stop(log)


@pytest.fixture
def checkout(place: Path) -> Path:
    return Path(shutil.copytree(ROOT, place / "checkout", ignore=UNWANTED, symlinks=True))


def test_a_checkout_is_installed_into_a_fresh_environment(checkout: Path, place: Path) -> None:
    python = fresh_environment(place)
    run(python, "-m", "pip", "install", ".", cwd=checkout)
    check_use(python, place)
    [wheel] = (place / "venv").rglob("duralog-*.dist-info/WHEEL")
    assert "Tag: py3-none-linux" in wheel.read_text()
    assert [*(place / "venv").rglob("duralog/py.typed")]


def test_an_editable_install_uses_the_checkout_s_build(checkout: Path, place: Path) -> None:
    python = fresh_environment(place)
    run(python, "-m", "pip", "install", "-e", ".", cwd=checkout)
    script = "from duralog import _native; print(_native.library().path)"
    library = checkout / "build/libshmwal.so"
    assert run(python, "-c", script, cwd=place).strip() == str(library)


def test_a_machine_that_cannot_build_is_told_what_is_missing(checkout: Path, place: Path) -> None:
    python = fresh_environment(place, "setuptools>=77")
    (checkout / "Makefile").write_text("$(error no compiler here)\n")
    script = "import setuptools.build_meta as b; b.build_wheel('dist')"
    with pytest.raises(AssertionError, match="it needs gcc, make, and the headers of"):
        run(python, "-c", script, cwd=checkout)


def test_the_fixture_s_place_is_gone_afterwards() -> None:
    with passing_place() as place:
        (place / "file").write_text("")
    assert not place.exists()
