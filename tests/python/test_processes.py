# SPDX-License-Identifier: MIT
"""One log, many processes: fork, spawn, forkserver, and death. Knows the public package."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from pathlib import Path
from typing import Callable

import pytest
from duralog import DuraLog

PROCESSES = 4
RECORDS = 500


def in_child(work: Callable[[], object]) -> int:
    """Forks; the child does the work and ends at once. Its process ID."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def succeeded(child: int) -> bool:
    return os.waitpid(child, 0)[1] == 0


def append_numbers(log: DuraLog, who: int) -> int:
    for number in range(RECORDS):
        lsn = log.append({"who": who, "number": number})
    log.wait(lsn, timeout=120)
    return lsn


def numbers_by_process(log: DuraLog) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for record in log.replay():
        found.setdefault(record["who"], []).append(record["number"])
    return found


def test_a_handle_works_on_in_a_forked_child(log: DuraLog) -> None:
    log.append({"who": -1, "number": 0})
    children = [in_child(lambda who=who: append_numbers(log, who)) for who in range(PROCESSES)]
    append_numbers(log, PROCESSES)
    assert all(succeeded(child) for child in children)
    found = numbers_by_process(log)
    assert found.pop(-1) == [0]
    assert found == {who: list(range(RECORDS)) for who in range(PROCESSES + 1)}


def test_a_child_s_close_leaves_the_parent_s_handle_open(log: DuraLog) -> None:
    lsn = log.append("parent")
    assert succeeded(in_child(log.close))
    assert log.append("parent still") > lsn
    assert list(log.replay()) == ["parent", "parent still"]


def test_a_child_that_never_used_its_handle_drops_it(log: DuraLog) -> None:
    def drop() -> None:
        log._handle = None

    assert succeeded(in_child(drop))
    log.append("parent", level="durable", timeout=120)


def test_a_grandchild_works_too(log: DuraLog) -> None:
    def child() -> None:
        log.append("child")
        assert succeeded(in_child(lambda: log.append("grandchild")))

    assert succeeded(in_child(child))
    assert list(log.replay()) == ["child", "grandchild"]


def test_forking_while_threads_append_leaves_nothing_locked(log: DuraLog) -> None:
    ended = threading.Event()

    def appending() -> None:
        while not ended.is_set():
            log.append("thread")
            log.append_many(["thread"] * 10)

    threads = [threading.Thread(target=appending) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        children = [
            in_child(lambda n=n: log.append(f"child {n}", level="durable", timeout=120))
            for n in range(20)
        ]
        assert all(succeeded(child) for child in children)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    records = [record for record in log.replay() if record != "thread"]
    assert sorted(records) == sorted(f"child {n}" for n in range(20))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_takes_a_handle_along(log: DuraLog, method: str) -> None:
    context = multiprocessing.get_context(method)
    processes = [
        context.Process(target=append_numbers, args=(log, who)) for who in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert numbers_by_process(log) == {who: list(range(RECORDS)) for who in range(PROCESSES)}


def test_what_a_killed_process_had_appended_is_there(path: Path) -> None:
    """And its death takes no time-out and holds up nobody."""
    with DuraLog(path) as log:
        reading, writing = os.pipe()

        def append_for_ever() -> None:
            while True:
                lsn = log.append(b"x" * 100)
                os.write(writing, lsn.to_bytes(8, "little"))

        child = in_child(append_for_ever)
        os.close(writing)
        acknowledged = [os.read(reading, 8) for _ in range(2000)]
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while lsn := os.read(reading, 8):
            acknowledged.append(lsn)
        os.close(reading)
        log.append("after", level="durable", timeout=120)
        found = [lsn for lsn, record in log.replay(with_lsn=True) if record != "after"]
        expected = [int.from_bytes(lsn, "little") for lsn in acknowledged]
        assert found[: len(expected)] == expected
        assert len(found) - len(expected) in (0, 1)
