# SPDX-License-Identifier: MIT
"""The benchmark: a part of it measures, the guard sees what has become slower, and what a run has
written down comes back as tables and documents.

Knows bench/run, bench/guard.py, bench/tables.py and bench/documents.py. Changes with them.
"""

from __future__ import annotations

import copy
import ctypes
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(root / "bench")
    return root / "bench"


def results(*rows: dict[str, object]) -> dict[str, object]:
    part = {"name": "append", "question": "", "note": "", "curves": [], "seconds": 1, "date": ""}
    return {"machine": {}, "parts": [{**part, "rows": list(rows)}]}


SPEED = {"what": "100 B", "unit": "ns", "ours": [30.0, 31.0, 29.0], "floor_name": "a floor"}
SPEED |= {"floor": [24.0, 25.0, 24.0], "goal": ">= 0.60"}
COST = {"what": "p50", "unit": "us", "ours": [90.0, 95.0, 92.0], "floor_name": "the device"}
COST |= {"floor": [85.0, 86.0, 88.0], "less": True}
VALUE = {"what": "flusher", "unit": "MiB", "ours": [4.0, 4.1, 4.0], "goal": "<= 16"}
COMMITTED = results(SPEED, COST, VALUE)


@pytest.fixture
def guard(bench: Path, tmp_path: Path):
    """Compares with COMMITTED; the exit status and what was printed."""

    def judge(measured: dict[str, object]) -> tuple[int, str]:
        for name, content in (("committed", COMMITTED), ("measured", measured)):
            (tmp_path / name).write_text(json.dumps(content))
        files = (tmp_path / "committed", tmp_path / "measured")
        command = [sys.executable, bench / "guard.py", *files]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return judge


def with_ours(index: int, factor: float) -> dict[str, object]:
    """COMMITTED, but one row's own figures are so many times as large."""
    changed = copy.deepcopy(COMMITTED)
    row = changed["parts"][0]["rows"][index]
    row["ours"] = [factor * value for value in row["ours"]]
    return changed


def test_guard_passes_the_same_result(guard):
    assert guard(COMMITTED) == (0, "guard: 3 rows compared, 0 worse\n")


@pytest.mark.parametrize("index", [0, 1, 2], ids=["speed", "cost", "value"])
def test_guard_fails_a_slower_result(guard, index: int):
    status, printed = guard(with_ours(index, 1.3))
    assert status == 1
    assert "1 worse" in printed
    assert COMMITTED["parts"][0]["rows"][index]["what"] in printed


@pytest.mark.parametrize("index", [0, 1, 2], ids=["speed", "cost", "value"])
def test_guard_passes_a_faster_result(guard, index: int):
    assert guard(with_ours(index, 0.7))[0] == 0


def test_guard_passes_a_slower_machine(guard):
    slower = copy.deepcopy(COMMITTED)
    for row in slower["parts"][0]["rows"][:2]:
        row["ours"] = [2 * value for value in row["ours"]]
        row["floor"] = [2 * value for value in row["floor"]]
    assert guard(slower)[0] == 0


def test_guard_passes_what_lies_within_the_noise(guard):
    noisy = copy.deepcopy(COMMITTED)
    noisy["parts"][0]["rows"][0]["ours"] = [30.0, 45.0, 45.0]  # one round as good as ever
    assert guard(noisy)[0] == 0


def test_guard_fails_where_a_row_is_missing(guard):
    status, printed = guard(results(SPEED, COST))
    assert status == 1
    assert "flusher: was not measured" in printed


def test_guard_fails_where_nothing_can_be_compared(guard):
    assert guard({"machine": {}, "parts": []})[0] == 1


def test_results_come_back_as_they_were_written(bench: Path):
    from rows import Curve, Part, Row

    curve = Curve("c", "t", "bytes", "y")
    curve.add("line", 1024, [1.0, 2.0])
    part = Part("append", "why", [Row(**SPEED), Row(**VALUE)], curves=[curve])
    written = json.loads(json.dumps(part.as_json()))
    assert Part.from_json(written).as_json() == part.as_json()
    assert written["rows"][0]["reached"]
    assert written["rows"][0]["ratio"]["median"] == pytest.approx(24 / 30, abs=0.01)


def test_documents_are_filled_between_their_markers(bench: Path):
    import documents
    from rows import Part, Row

    row = Row(**SPEED, goal_name="P1", says="append 100 B")
    text = "before\n<!-- bench: goals -->\nold\n<!-- bench: end -->\nafter\n"
    filled = documents.filled(text, [Part("append", "why", [row])], {"machine": {}})
    assert filled.startswith("before\n<!-- bench: goals -->\n|")
    assert "| P1 | append 100 B | 30 ns | 24 ns | a floor | 0.81 | 0.80 - 0.83 |" in filled
    assert "old" not in filled
    assert filled.endswith("<!-- bench: end -->\nafter\n")


def test_documents_say_what_the_committed_results_say(bench: Path, root: Path):
    import documents
    from rows import Part

    results = json.loads((bench / "results.json").read_text())
    parts = [Part.from_json(part) for part in results["parts"]]
    for name in documents.DOCUMENTS:
        text = (root / name).read_text()
        assert "<!-- bench: " in text
        assert documents.filled(text, parts, results) == text


@pytest.fixture
def histogram(bench: Path, tmp_path: Path):
    """bench/histogram.c: a function from durations, and the interval at which they were due, to a
    function from percents to percentiles."""
    library = tmp_path / "histogram.so"
    sources = [bench / "histogram.c", bench / "support.c"]
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library]
    subprocess.run(["cc", *flags, *sources, "-lm"], check=True)
    c = ctypes.CDLL(str(library))
    c.histogram_percentile.restype = ctypes.c_uint64

    def fill(durations: list[int], interval: int = 0):
        memory = ctypes.create_string_buffer(1 << 17)
        for duration in durations:
            c.histogram_add_corrected(memory, ctypes.c_int64(duration), ctypes.c_int64(interval))
        return lambda percent: c.histogram_percentile(memory, ctypes.c_double(percent))

    return fill


def test_histogram_never_tells_a_percentile_better_than_it_was(histogram):
    durations = [int(1.01**n * (1 + n % 7)) for n in range(2000)]
    percentile = histogram(durations)
    for percent in (0.05, 10, 50, 90, 99, 99.9, 100):
        exact = sorted(durations)[math.ceil(len(durations) * percent / 100) - 1]
        assert exact <= percentile(percent) <= exact * (1 + 1 / 128)


def test_histogram_counts_those_that_a_stall_held_up(histogram):
    stalled = [10] * 900 + [100_000]  # one every 1000, and one stall as long as a hundred of them
    assert histogram(stalled)(99) == 10
    assert histogram(stalled, interval=1000)(95) >= 49_000


def test_a_part_measures_and_leaves_nothing(bench: Path, build: Path, run, tmp_path: Path):
    printed = run(sys.executable, bench / "run", "--quick", "--dir", tmp_path, "latency", "memory")
    assert "one waiter, append to durable, p50" in printed
    assert not list(tmp_path.iterdir())
    measured = json.loads((build / "bench/results-quick.json").read_text())
    rows = [row for part in measured["parts"] for row in part["rows"]]
    assert {row["what"] for row in rows} >= {"producer", "flusher", "p50", "due p99"}
    assert all(value > 0 for row in rows for value in row["ours"])
