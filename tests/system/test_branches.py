# SPDX-License-Identifier: MIT
"""tests/coverage/branches.py by itself: it fails for what is not listed and not taken, for what is
listed and taken, and for what is listed and gone. The counts are those of a real program.

Knows branches.py and clang.
"""

import importlib.util
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
int judge(int number);
int judge(int number)
{
    return number > 1 ? 1 : number < 0 ? -1 : 0;
}
int main(int count, char **words)
{
    (void)words;
    return judge(count) + 1;
}
"""

NEVER_BELOW = "src/store/judge.c judge true number < 0"
NEVER_ABOVE = "src/store/judge.c judge true number > 1"
NOT_BELOW = "src/store/judge.c judge false number < 0"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, which looks at a program of the test's own, run once: with number at 1."""
    spec = importlib.util.spec_from_file_location("branches", ROOT / "tests/coverage/branches.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LIST", tmp_path / "list")
    monkeypatch.setenv("B", "build")
    build_and_run(tmp_path)
    return module


def build_and_run(at: Path) -> None:
    build = at / "build/coverage"
    source = at / "src/store/judge.c"
    for directory in (source.parent, build / "profiles", build / "tests"):
        directory.mkdir(parents=True)
    source.write_text(PROGRAM)
    flags = ["-fprofile-instr-generate", "-fcoverage-mapping"]
    subprocess.run(["clang", *flags, "-o", build / "duralog-flusher", source], check=True)
    for name in ("libshmwal.so", "duralog"):
        (build / name).hardlink_to(build / "duralog-flusher")
    profile = {"LLVM_PROFILE_FILE": str(build / "profiles/run.profraw")}
    done = subprocess.run([build / "duralog-flusher"], env={**os.environ, **profile}, check=False)
    assert done.returncode == 1


def verdict(tool: ModuleType, *lines: str) -> int:
    Path(tool.LIST).write_text("\n".join(lines) + "\n")
    return int(tool.main(["--again"]))


def test_list_that_is_right_passes(tool: ModuleType) -> None:
    assert verdict(tool, "== why ==", NEVER_BELOW, NEVER_ABOVE) == 0


def test_branch_that_is_not_listed_and_not_taken_fails(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(tool, "== why ==", NEVER_BELOW) == 1
    assert f"not taken, and without a reason: {NEVER_ABOVE}" in capsys.readouterr().out


def test_branch_below_no_reason_fails(tool: ModuleType) -> None:
    assert verdict(tool, NEVER_ABOVE, "== why ==", NEVER_BELOW) == 1


def test_branch_that_is_listed_and_taken_fails(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(tool, "== why ==", NEVER_BELOW, NEVER_ABOVE, NOT_BELOW) == 1
    assert f"listed, and taken: {NOT_BELOW}" in capsys.readouterr().out


def test_branch_that_may_be_taken_or_not_is_only_told(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = ("~~ hangs on the order of events ~~", NEVER_BELOW, NEVER_ABOVE, NOT_BELOW)
    assert verdict(tool, *lists) == 0
    assert f"taken this time, as it may be: {NOT_BELOW}" in capsys.readouterr().out


def test_branch_that_is_listed_and_gone_fails(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = "src/store/judge.c judge true number < -1"
    assert verdict(tool, "== why ==", NEVER_BELOW, NEVER_ABOVE, gone) == 1
    assert f"listed, and no longer there: {gone}" in capsys.readouterr().out


def test_measurement_counts_only_if_its_suites_pass(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(tool.LIST).write_text(f"== why ==\n{NEVER_BELOW}\n{NEVER_ABOVE}\n")
    monkeypatch.setattr(tool, "measure", lambda build: False)
    assert tool.main([]) == 1
    monkeypatch.setattr(tool, "measure", lambda build: True)
    assert tool.main([]) == 0
