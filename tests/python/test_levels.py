# SPDX-License-Identifier: MIT
"""Levels, waiting for them, and time-outs. Knows the public package.

A log without a flusher never becomes durable and has no room once it is full, so that each time-out
here comes for certain, however slow the machine.
"""

from __future__ import annotations

import errno
import threading

import pytest
from duralog import DuraLog, DuraLogConfigurationError, DuraLogTimeoutError


def fill(log: DuraLog) -> int:
    count = 0
    while True:
        try:
            log.append(b"x" * 1000, timeout=0)
        except DuraLogTimeoutError:
            return count
        count += 1


def test_a_committed_record_is_visible_at_once(log: DuraLog) -> None:
    lsn = log.append("record")
    assert log.committed_lsn == lsn


def test_wait_returns_when_the_record_is_durable(log: DuraLog) -> None:
    lsn = log.append("record")
    log.wait(lsn, timeout=60)
    assert log.durable_lsn >= lsn


def test_append_returns_durable_if_asked(log: DuraLog) -> None:
    lsn = log.append("record", level="durable", timeout=60)
    assert log.durable_lsn >= lsn


def test_sync_covers_what_others_appended(log: DuraLog) -> None:
    with DuraLog(log.path) as other:
        lsn = other.append("theirs")
        log.sync(timeout=60)
        assert log.durable_lsn >= lsn


def test_wait_for_committed_needs_no_flusher(idle: DuraLog) -> None:
    idle.wait(idle.append("record"), timeout=60, level="committed")


def test_wait_for_nothing_returns(idle: DuraLog) -> None:
    idle.wait(0, timeout=0)
    idle.sync(timeout=0)


@pytest.mark.parametrize("timeout", [0, 0.01, 0.25])
def test_wait_gives_up_in_time(idle: DuraLog, timeout: float) -> None:
    lsn = idle.append("record")
    with pytest.raises(DuraLogTimeoutError, match=f"LSN {lsn} was not reached") as caught:
        idle.wait(lsn, timeout=timeout)
    assert caught.value.errno == errno.ETIMEDOUT
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(DuraLogTimeoutError):
        idle.sync(timeout=timeout)


def test_a_durable_append_that_gives_up_tells_that_the_record_is_there(idle: DuraLog) -> None:
    with pytest.raises(DuraLogTimeoutError) as caught:
        idle.append("record", level="durable", timeout=0.01)
    assert caught.value.lsn == idle.committed_lsn
    assert caught.value.appended == 1
    with DuraLog(idle.path) as served:
        served.wait(caught.value.lsn, timeout=60)
        assert list(served.replay()) == ["record"]


@pytest.mark.parametrize("timeout", [0, 0.01, 0.25])
def test_append_to_a_full_ring_gives_up_in_time(idle: DuraLog, timeout: float) -> None:
    fill(idle)
    before = idle.committed_lsn
    with pytest.raises(DuraLogTimeoutError, match="no room") as caught:
        idle.append(b"x" * 1000, timeout=timeout)
    assert caught.value.lsn is None
    assert caught.value.appended == 0
    assert idle.committed_lsn == before


def test_append_to_a_full_ring_goes_on_when_there_is_room(idle: DuraLog) -> None:
    count = fill(idle)
    appended: list[int] = []
    waiting = threading.Thread(target=lambda: appended.append(idle.append("waited")))
    waiting.start()
    with DuraLog(idle.path) as served:
        waiting.join()
        assert [lsn for lsn, _ in served.replay(with_lsn=True)][count:] == appended


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("-inf")])
def test_a_time_out_that_is_none_is_refused(log: DuraLog, timeout: float) -> None:
    for call in (
        lambda: log.append("record", timeout=timeout),
        lambda: log.append_many(["record"], timeout=timeout),
        lambda: log.wait(0, timeout=timeout),
        lambda: log.sync(timeout=timeout),
        lambda: log.close(timeout=timeout),
    ):
        with pytest.raises(DuraLogConfigurationError, match="timeout="):
            call()
    assert list(log.replay()) == []


def test_an_endless_time_out_may_be_infinity(log: DuraLog) -> None:
    log.append("record", level="durable", timeout=float("inf"))


@pytest.mark.parametrize("timeout", ["1", True, 1j])
def test_a_time_out_of_another_type_is_refused(log: DuraLog, timeout: object) -> None:
    with pytest.raises(TypeError, match="timeout is a number of seconds"):
        log.append("record", timeout=timeout)  # type: ignore[arg-type]
    assert list(log.replay()) == []


@pytest.mark.parametrize("level", ["", "DURABLE", 1, None, b"durable", []])
def test_a_level_that_is_none_is_refused(log: DuraLog, level: object) -> None:
    for call in (
        lambda: log.append("record", level=level),  # type: ignore[arg-type]
        lambda: log.append_many(["record"], level=level),  # type: ignore[arg-type]
        lambda: log.wait(0, level=level),  # type: ignore[arg-type]
    ):
        with pytest.raises(DuraLogConfigurationError, match="must be one of"):
            call()
    assert list(log.replay()) == []


def test_a_level_that_nothing_raises_is_refused_before_the_append(log: DuraLog) -> None:
    with pytest.raises(DuraLogConfigurationError, match="replicates"):
        log.append("record", level="replicated")
    with pytest.raises(DuraLogConfigurationError, match="replicates"):
        log.append_many(["record"], level="replicated")
    assert list(log.replay()) == []


def test_an_lsn_that_no_append_returned_is_refused(log: DuraLog) -> None:
    lsn = log.append("record")
    with pytest.raises(DuraLogConfigurationError, match="beyond the log's end"):
        log.wait(lsn + 1, timeout=60)
    for wrong in (-1, 2**64):
        with pytest.raises(DuraLogConfigurationError, match="lsn="):
            log.wait(wrong)
    with pytest.raises(TypeError, match="lsn is an int"):
        log.wait(1.0)  # type: ignore[arg-type]


def test_with_no_flusher_replay_yields_what_is_durable(path: object) -> None:
    with DuraLog(path) as served:  # type: ignore[arg-type]
        served.append("durable", level="durable", timeout=60)
        with DuraLog(path, flusher=False) as reading:  # type: ignore[arg-type]
            assert list(reading.replay()) == ["durable"]


def test_without_a_flusher_nothing_is_replayed_and_replay_does_not_wait(idle: DuraLog) -> None:
    lsn = idle.append("only committed")
    assert list(idle.replay()) == []
    assert list(idle.replay(from_lsn=lsn)) == []
