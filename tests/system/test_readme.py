# SPDX-License-Identifier: MIT
"""What README.md tells a reader to do works: its examples are taken from it and run.

Knows the order of its examples by their language. Changes when it shows another one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

Blocks = dict[str, list[str]]


@pytest.fixture
def blocks(root: Path) -> Blocks:
    found: Blocks = {}
    for language, text in re.findall(
        r"^```(\w+)\n(.*?)^```", (root / "README.md").read_text(), re.MULTILINE | re.DOTALL
    ):
        found.setdefault(language, []).append(text)
    return found


@pytest.fixture
def in_tmp(run, build: Path, tmp_path: Path):
    """Runs a shell line in a directory of its own, with the build's programs in PATH, and ends the
    flusher of the log that the examples make."""

    def run_line(line: str, **environment: str) -> str:
        return run("sh", "-euc", f"cd {tmp_path}; PATH={build}:$PATH; {line}", **environment)

    yield run_line
    run_line("duralog stop app.log")


def test_two_commands_come_first(blocks: Blocks):
    commands = [line.split("#")[0].strip() for line in blocks["sh"][0].splitlines()]
    assert commands == ["make quickstart", "make check"]


def test_the_python_example_runs(blocks: Blocks, in_tmp, tmp_path: Path, root: Path):
    (tmp_path / "example.py").write_text(blocks["python"][0])
    package = str(root / "pyduralog")
    assert in_tmp(f"{sys.executable} example.py", PYTHONPATH=package).count("login") == 1


def test_the_example_of_many_records_runs(blocks: Blocks, in_tmp, tmp_path: Path, root: Path):
    example = next(text for text in blocks["python"] if "append_many" in text)
    (tmp_path / "example.py").write_text(example)
    said = in_tmp(f"{sys.executable} example.py", PYTHONPATH=str(root / "pyduralog"))
    in_tmp("duralog stop packed.log")
    assert said.splitlines()[99_999].endswith(" {'n': 99999}")
    assert said.splitlines()[-1] == """3 b'{"n":99999}'"""


def test_the_c_example_runs(blocks: Blocks, in_tmp, tmp_path: Path, root: Path, build: Path):
    (tmp_path / "example.c").write_text(blocks["c"][0])
    library = build / "libshmwal.a"
    in_tmp(f"cc -Wall -Werror -I{root}/include example.c {library} -pthread -o example; ./example")
    assert in_tmp("duralog cat app.log") == "hello\n"


def test_the_shell_example_runs(blocks: Blocks, in_tmp, tmp_path: Path):
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    example = next(text for text in blocks["sh"] if text.startswith("duralog append"))
    assert '"type": "text", "data": "two"' in in_tmp(example)
