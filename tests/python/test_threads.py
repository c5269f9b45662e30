# SPDX-License-Identifier: MIT
"""One handle, many threads. Knows the public package."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from duralog import DuraLog, DuraLogClosedError

pytestmark = pytest.mark.usefixtures("way")

THREADS = 8
RECORDS = 1000


def test_each_thread_s_records_are_there_in_its_order(log: DuraLog) -> None:
    def append(who: int) -> list[int]:
        lsns = [log.append({"who": who, "n": n}) for n in range(RECORDS)]
        log.wait(lsns[-1], timeout=120)
        return lsns

    with ThreadPoolExecutor(THREADS) as pool:
        lsns = list(pool.map(append, range(THREADS)))
    found: dict[int, list[tuple[int, int]]] = {}
    for lsn, record in log.replay(with_lsn=True):
        found.setdefault(record["who"], []).append((lsn, record["n"]))
    assert found == {who: list(zip(lsns[who], range(RECORDS))) for who in range(THREADS)}


def test_each_gets_the_lsn_of_its_own_record(log: DuraLog) -> None:
    """The cells that results come in are shared."""

    def append(who: int) -> dict[int, str]:
        texts = [f"{who} {n}" for n in range(RECORDS)]
        return {log.append(text): text for text in texts}

    with ThreadPoolExecutor(THREADS) as pool:
        expected = {
            lsn: text for part in pool.map(append, range(THREADS)) for lsn, text in part.items()
        }
    assert dict(log.replay(with_lsn=True)) == expected


def test_a_signal_handler_may_append(log: DuraLog) -> None:
    from_handler: list[int] = []
    before = signal.signal(
        signal.SIGALRM, lambda *_: from_handler.append(log.append("from the handler"))
    )
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    own: list[int] = []
    try:
        while len(from_handler) < 50:
            own.append(log.append("own"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    expected = dict.fromkeys(own, "own") | dict.fromkeys(from_handler, "from the handler")
    assert dict(log.replay(with_lsn=True)) == expected


def test_closing_while_others_append_is_safe(path: object) -> None:
    acknowledged: list[int] = []

    def append(log: DuraLog) -> None:
        try:
            while True:
                acknowledged.append(log.append({"thread": threading.get_ident()}))
        except DuraLogClosedError:
            pass

    for _ in range(5):
        log = DuraLog(path)  # type: ignore[arg-type]
        threads = [threading.Thread(target=append, args=(log,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        enough = len(acknowledged) + 500
        while len(acknowledged) < enough:
            log.wait(log.committed_lsn, timeout=120)
        log.close()
        for thread in threads:
            thread.join()
    with DuraLog(path) as log:  # type: ignore[arg-type]
        assert [lsn for lsn, _ in log.replay(with_lsn=True)] == sorted(acknowledged)


def test_closing_ends_another_thread_s_wait(idle: DuraLog) -> None:
    lsn = idle.append("never durable")
    errors: list[Exception] = []
    begun = threading.Barrier(4)

    def wait(call: object) -> None:
        begun.wait()
        try:
            call()  # type: ignore[operator]
        except DuraLogClosedError as error:
            errors.append(error)

    calls = [lambda: idle.wait(lsn), idle.sync, lambda: idle.append("x", level="durable")]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    begun.wait()
    idle.close()
    for thread in threads:
        thread.join()
    assert len(errors) == 3
