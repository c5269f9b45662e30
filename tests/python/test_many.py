# SPDX-License-Identifier: MIT
"""append_many: order, chunks, and what is there when it fails. Knows the public package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from duralog import DuraLog, DuraLogTimeoutError, DuraLogTooLargeError

pytestmark = pytest.mark.usefixtures("way")


def test_all_records_of_an_iterator_are_there_in_order(log: DuraLog) -> None:
    records: list[Any] = [{"n": n} if n % 3 else f"text {n}" for n in range(5000)]
    lsn = log.append_many(iter(records))
    pairs = list(log.replay(with_lsn=True))
    assert [record for _, record in pairs] == records
    assert pairs[-1][0] == lsn


def test_an_iterator_is_consumed_as_the_log_takes_it(log: DuraLog) -> None:
    in_the_log_before = []

    def watching() -> Iterator[str]:
        for n in range(3000):
            in_the_log_before.append(log.committed_lsn)
            yield f"record {n}"

    log.append_many(watching())
    assert in_the_log_before[0] == 0
    assert in_the_log_before[-1] > 0


def test_large_records_pass_through_a_small_ring(path: Path) -> None:
    with DuraLog(path, ring_bytes=1 << 20) as log:
        records = [bytes([n]) * 300_000 for n in range(20)]
        log.append_many(records)
        assert list(log.replay()) == records


def test_it_returns_durable_if_asked(log: DuraLog) -> None:
    lsn = log.append_many(["a", "b"], level="durable", timeout=60)
    assert log.durable_lsn >= lsn


def test_no_records_are_no_error(log: DuraLog) -> None:
    assert log.append_many([]) == 0
    lsn = log.append("record")
    assert log.append_many(iter(()), level="durable", timeout=60) == lsn


@pytest.mark.parametrize("position", [0, 1, 1024, 2500])
def test_at_a_bad_value_those_before_it_are_in_the_log(log: DuraLog, position: int) -> None:
    records: list[Any] = [f"record {n}" for n in range(3000)]
    records[position] = {"bad": float("nan")}
    with pytest.raises(TypeError, match=rf"record {position} of append_many.*record\['bad'\]"):
        log.append_many(records)
    assert list(log.replay()) == records[:position]


def test_an_exception_of_the_iterator_leaves_those_before_it(log: DuraLog) -> None:
    def failing() -> Iterator[str]:
        yield "one"
        yield "two"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        log.append_many(failing())
    assert list(log.replay()) == ["one", "two"]


def test_a_record_too_large_leaves_those_before_it(path: Path) -> None:
    with DuraLog(path, ring_bytes=1 << 16) as log:
        with pytest.raises(DuraLogTooLargeError) as caught:
            log.append_many(["one", "two", b"x" * (1 << 16), "never"])
        assert caught.value.appended == 2
        assert list(log.replay()) == ["one", "two"]


@pytest.mark.parametrize("timeout", [0, 0.25])
def test_a_full_ring_leaves_those_that_fitted(idle: DuraLog, timeout: float) -> None:
    records = [f"record {n}" for n in range(5000)]
    with pytest.raises(DuraLogTimeoutError, match="no room") as caught:
        idle.append_many(records, timeout=timeout)
    assert 0 < caught.value.appended < len(records)
    with DuraLog(idle.path) as served:
        assert list(served.replay()) == records[: caught.value.appended]


def test_a_level_that_is_not_reached_in_time_leaves_all(idle: DuraLog) -> None:
    with pytest.raises(DuraLogTimeoutError) as caught:
        idle.append_many(["one", "two"], level="durable", timeout=0.01)
    assert caught.value.appended == 2
    assert caught.value.lsn == idle.committed_lsn


@pytest.mark.parametrize("records", ["abc", b"abc", {"a": 1}, bytearray(b"a"), memoryview(b"a")])
def test_one_record_in_place_of_many_is_refused(log: DuraLog, records: Any) -> None:
    with pytest.raises(TypeError, match="takes an iterable of records"):
        log.append_many(records)
    with pytest.raises(TypeError, match="not iterable"):
        log.append_many(1)  # type: ignore[arg-type]
    assert list(log.replay()) == []
