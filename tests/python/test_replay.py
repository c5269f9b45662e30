# SPDX-License-Identifier: MIT
"""replay: where it begins and where it ends. Knows the public package."""

from __future__ import annotations

from itertools import islice

import pytest
from duralog import DuraLog, DuraLogConfigurationError

pytestmark = pytest.mark.usefixtures("way")


def test_from_lsn_yields_exactly_what_came_after(log: DuraLog) -> None:
    lsns = [0, *(log.append(n) for n in map(str, range(50)))]
    for count, lsn in enumerate(lsns):
        assert list(log.replay(from_lsn=lsn)) == [str(n) for n in range(count, 50)]


def test_from_within_a_record_begins_with_the_next(log: DuraLog) -> None:
    first = log.append("first")
    log.append("second")
    assert list(log.replay(from_lsn=first - 1)) == ["second"]
    assert list(log.replay(from_lsn=1)) == ["second"]


def test_it_ends_where_the_log_ended_when_it_was_called(log: DuraLog) -> None:
    log.append("before")
    replay = log.replay()
    log.append("after", level="durable", timeout=60)
    assert list(replay) == ["before"]


def test_it_ends_though_it_appends_as_it_goes(log: DuraLog) -> None:
    log.append_many(["a", "b"])
    for record in log.replay():
        log.append(str(record) + "'")
    assert list(log.replay()) == ["a", "b", "a'", "b'"]


def test_an_empty_log_yields_nothing(log: DuraLog) -> None:
    assert list(log.replay()) == []


def test_two_replays_are_independent(log: DuraLog) -> None:
    log.append_many(str(n) for n in range(3000))
    one, other = log.replay(), log.replay()
    assert list(islice(one, 2000)) == [str(n) for n in range(2000)]
    assert list(other) == [str(n) for n in range(3000)]
    assert next(one) == "2000"


def test_it_works_on_after_the_handle_was_closed(log: DuraLog) -> None:
    log.append_many(str(n) for n in range(3000))
    replay = log.replay()
    assert next(replay) == "0"
    log.close()
    assert len(list(replay)) == 2999


def test_a_position_beyond_the_end_is_refused(log: DuraLog) -> None:
    end = log.append("record")
    assert list(log.replay(from_lsn=end)) == []
    for call in (log.replay, log.follow):
        for wrong in (end + 1, -1, 2**64):
            with pytest.raises(DuraLogConfigurationError, match="from_lsn="):
                call(from_lsn=wrong)
        with pytest.raises(TypeError, match="from_lsn is an int"):
            call(from_lsn="0")  # type: ignore[call-overload]


def test_it_crosses_segments(place: object) -> None:
    with DuraLog(f"{place}/small.log", ring_bytes=1 << 16, segment_bytes=1 << 16) as log:
        lsns = [log.append({"n": n, "filling": "x" * 500}) for n in range(2000)]
        assert [record["n"] for record in log.replay()] == list(range(2000))
        assert [record["n"] for record in log.replay(from_lsn=lsns[999])] == list(range(1000, 2000))
