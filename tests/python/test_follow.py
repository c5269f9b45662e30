# SPDX-License-Identifier: MIT
"""follow: what is appended while it runs. Knows the public package."""

from __future__ import annotations

import threading
from itertools import islice

import pytest
from duralog import DuraLog, DuraLogClosedError

pytestmark = pytest.mark.usefixtures("way")


def test_from_a_position_it_yields_the_old_and_goes_on_with_the_new(log: DuraLog) -> None:
    first = log.append("first")
    log.append("second")
    follow = log.follow(from_lsn=first)
    assert next(follow) == "second"
    log.append("third")
    assert next(follow) == "third"


def test_without_a_position_it_begins_with_what_comes_next(log: DuraLog) -> None:
    log.append("before, perhaps not durable yet")
    follow = log.follow(with_lsn=True)
    lsn = log.append("after")
    assert next(follow) == (lsn, "after")


def test_from_an_lsn_that_is_not_durable_yet(idle: DuraLog) -> None:
    idle.append("skipped")
    lsn = idle.append("skipped too")
    follow = idle.follow(from_lsn=lsn)
    idle.append("wanted")
    with DuraLog(idle.path):
        assert next(follow) == "wanted"


def test_it_waits_for_another_thread_s_records(log: DuraLog) -> None:
    follow = log.follow()
    got: list[str] = []
    following = threading.Thread(target=lambda: got.extend(islice(follow, 3000)))
    following.start()
    for n in range(3000):
        log.append(str(n))
    following.join()
    assert got == [str(n) for n in range(3000)]


def test_closing_the_handle_ends_it(log: DuraLog) -> None:
    log.append("record")
    follow = log.follow(from_lsn=0)
    waiting = threading.Event()
    ended: list[BaseException] = []

    def run() -> None:
        try:
            for _ in follow:
                waiting.set()
        except DuraLogClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    waiting.wait()
    log.close()
    thread.join()
    assert len(ended) == 1


def test_leaving_the_loop_leaves_the_log_usable(log: DuraLog) -> None:
    log.append_many(["a", "b", "c"])
    for record in log.follow(from_lsn=0):
        if record == "b":
            break
    assert list(log.replay()) == ["a", "b", "c"]


def test_it_follows_across_segments(path: object) -> None:
    with DuraLog(path, ring_bytes=1 << 16, segment_bytes=1 << 16) as log:  # type: ignore[arg-type]
        follow = log.follow()
        for n in range(1000):
            log.append({"n": n, "filling": "x" * 500})
        assert [record["n"] for record in islice(follow, 1000)] == list(range(1000))


def test_a_follow_on_a_closed_handle_is_refused(log: DuraLog) -> None:
    log.close()
    with pytest.raises(DuraLogClosedError):
        log.follow()
