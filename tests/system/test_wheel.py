# SPDX-License-Identifier: MIT
"""The wheel, as a user has it: installed into a fresh environment of each interpreter that can be
found, with nothing of the checkout in reach.

`make wheel-check` looks for more interpreters first; see tests/system/interpreters.py. Needs what
tools/requirements-wheel.txt lists. Knows what the package promises to carry.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from interpreters import Interpreter, find_interpreters

USE = """
import multiprocessing, os, sys, threading
import duralog
from duralog import DuraLog, _native

def work(path):
    with DuraLog(path) as log:
        log.append_many([{"pid": os.getpid()}, "text", b"bytes"])

if __name__ == "__main__":
    assert _native.library().path.startswith(sys.prefix), _native.library().path
    path = sys.argv[1]
    with DuraLog(path) as log:
        log.append({"event": "installed"}, level="durable", timeout=200)
        for method in ("fork", "spawn"):
            process = multiprocessing.get_context(method).Process(target=work, args=(path,))
            process.start()
            process.join()
            assert process.exitcode == 0, method
        threads = [threading.Thread(target=work, args=(path,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        records = list(log.replay())
        assert len(records) == 1 + 3 * 6, records
        assert records[0] == {"event": "installed"}
        assert {type(record) for record in records} == {dict, str, bytes}
    print("works")
"""


def run(*command: str | Path, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DURALOG_", "PYTHON"))}
    done = subprocess.run(
        command,
        cwd="/",
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def uv(*arguments: str | Path) -> str:
    return run(sys.executable, "-m", "uv", "--quiet", "--no-config", *arguments)


@pytest.fixture(scope="module")
def built() -> list[Path]:
    """The source distribution and the wheel."""
    made = run(sys.executable, ROOT / "tools/wheel.py").splitlines()
    return sorted(map(Path, made), key=lambda path: path.suffix)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="duralog-wheel-") as directory:
        yield Path(directory)


def test_the_wheel_runs_wherever_its_name_says(built: list[Path]) -> None:
    _, wheel = built
    assert wheel.name.startswith("duralog-1.0.0-py3-none-manylinux_2_")
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        modes = {info.filename: info.external_attr >> 16 for info in content.infolist()}
    for name in ("libshmwal.so", "duralog-flusher", "duralog"):
        assert f"duralog/_native/{name}" in names
        assert modes[f"duralog/_native/{name}"] & 0o111
    assert "duralog/py.typed" in names
    assert not [name for name in names if "build_native" in name or name.endswith((".c", ".h"))]
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel)
    assert "libc.so.6" in shown
    assert "libstdc++" not in shown


def test_the_source_distribution_has_the_sources_and_nothing_built(built: list[Path]) -> None:
    source, _ = built
    with tarfile.open(source) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert {"Makefile", "include/shmwal.h", "src/shmwal.map", "LICENSE", "README.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".a"))]


@pytest.mark.parametrize("interpreter", find_interpreters(), ids=str)
def test_it_works_in_a_fresh_environment(
    built: list[Path], place: Path, interpreter: Interpreter
) -> None:
    _, wheel = built
    uv("venv", "--python", interpreter.path, place / "venv")
    python = place / "venv/bin/python"
    uv("pip", "install", "--python", python, wheel)
    script, log = place / "use.py", place / "app.log"
    script.write_text(USE)
    assert run(python, "-W", "error::SyntaxWarning", script, log) == "works\n"
    shown = run(python, "-m", "duralog", "cat", "--json", log)
    assert shown.count("\n") == 19
    assert run(place / "venv/bin/duralog", "verify", log).startswith("intact: 19 records")
    run(place / "venv/bin/duralog", "stop", log)
    uv("pip", "uninstall", "--python", python, "duralog")
    assert not [*place.glob("venv/lib*/*/site-packages/duralog/*")]


def test_an_interpreter_that_is_too_old_is_refused(built: list[Path], place: Path) -> None:
    old = [found for found in find_interpreters(oldest=(3, 6)) if found.version < (3, 9)]
    if not old:
        pytest.skip("none is here")
    _, wheel = built
    uv("venv", "--python", old[0].path, place / "venv")
    with pytest.raises(AssertionError, match=r"(?i)requires-python|>=3\.9"):
        uv("pip", "install", "--python", place / "venv/bin/python", wheel)
