# SPDX-License-Identifier: MIT
"""The quickstart: what it prints is plain and true, and it fails when a record is not as it was.

Knows tools/quickstart.py. Changes with it.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def quickstart(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart", root / "tools/quickstart.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "quickstart", module)
    spec.loader.exec_module(module)
    return module


def test_in_a_pipe_it_prints_plain_lines(root: Path, build: Path, run, tmp_path: Path):
    log = tmp_path / "log"
    script = root / "tools/quickstart.py"
    printed = run(sys.executable, script, "--build", build, "--log", log)
    assert "\r" not in printed
    assert "\033" not in printed
    assert str(log) in printed or "log" in printed
    rows = re.findall(r"^ +(\d) +([\d,]+) +([\d,]+) +([\d,]+)(.*)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == list("12345678")
    assert all(row[1] == row[2] == row[3] for row in rows[:-1])
    assert "SIGKILL" in rows[-1][4]
    run(build / "duralog", "stop", log)


class Replayed:
    """In place of a log: it replays what it is given."""

    def __init__(self, records: list) -> None:
        self.records = records

    def replay(self) -> list:
        return self.records


SHARES = [[f"line {worker}", {"Package": f"p{worker}"}] for worker in range(8)]


def test_it_counts_what_it_finds(quickstart: ModuleType):
    records = [quickstart.record_of(3, index, SHARES[2]) for index in range(5)]
    found, wrong = quickstart.check(Replayed(records), SHARES)
    assert found[3] == 5
    assert wrong == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda records: records.pop(2),
        lambda records: records.insert(2, records[1]),
        lambda records: records.reverse(),
        lambda records: records[1].update(Package="another"),
        lambda records: records.__setitem__(2, records[2] + " "),
    ],
    ids=["lost", "doubled", "reordered", "another value", "another line"],
)
def test_it_sees_a_record_that_is_not_as_it_was(quickstart: ModuleType, spoil):
    records = [quickstart.record_of(3, index, SHARES[2]) for index in range(5)]
    spoil(records)
    assert quickstart.check(Replayed(records), SHARES)[1]


def test_it_sees_that_an_acknowledged_record_is_missing(quickstart: ModuleType):
    each = [0, *[10] * 8]
    board = SimpleNamespace(begun=each, acknowledged=each)
    assert quickstart.compare(board, each) == []
    assert quickstart.compare(board, [*each[:8], 9])
