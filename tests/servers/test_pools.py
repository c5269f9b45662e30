# SPDX-License-Identifier: MIT
"""Pools of processes and threads, and threads that fork: all of them on one log.

Knows support, and the recipe for pools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import ENVIRONMENT, HANG_S, RECIPES, check_log

METHODS = ("fork", "spawn", "forkserver")

# Each prints a line "NUMBER LSN" for what was answered.
EXECUTOR = """
import concurrent.futures, multiprocessing, os, pool_app, signal, sys
context = multiprocessing.get_context(sys.argv[1])
with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool:
    for number, lsn in enumerate(pool.map(pool_app.work, range(500))):
        print(number, lsn)
"""
RECYCLED = """
import multiprocessing, pool_app, sys
context = multiprocessing.get_context(sys.argv[1])
with context.Pool(4, maxtasksperchild=20) as pool:
    for number, lsn in enumerate(pool.imap(pool_app.work, range(500))):
        print(number, lsn)
"""
# An executor whose process was killed is broken, by its own rules; what it had answered stays.
KILLED = """
import concurrent.futures, multiprocessing, os, pool_app, signal, sys
context = multiprocessing.get_context(sys.argv[1])
with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool:
    results = [pool.submit(pool_app.work, number) for number in range(2000)]
    for number, result in enumerate(results):
        if number == 100:
            *_, last = pool_app.log.replay()
            os.kill(last["pid"], signal.SIGKILL)
        try:
            print(number, result.result())
        except concurrent.futures.process.BrokenProcessPool:
            pass
assert result.exception()
with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool:
    for number, lsn in enumerate(pool.map(pool_app.work, range(2000, 2100)), 2000):
        print(number, lsn)
"""
# Threads append all the time, in a pool of theirs, so that forks come in the middle of it.
THREADS = """
import concurrent.futures, os, pool_app, threading
ended = threading.Event()

def answer(number):
    os.write(1, b"%d %d\\n" % (number, pool_app.work(number)))

def until_ended(first):
    number = first
    while not ended.is_set():
        answer(number)
        number += 8

def fork(first):
    child = os.fork()
    if child == 0:
        for number in range(first, first + 20):
            answer(number)
        os._exit(0)
    return child

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    threads = [pool.submit(until_ended, who) for who in range(8)]
    children = [fork(1_000_000 * (child + 1)) for child in range(20)]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    ended.set()
    for thread in threads:
        thread.result()
assert statuses == [0] * 20
"""


def run(place: Path, script: str, *arguments: str) -> dict[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=place,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {int(number): int(lsn) for number, lsn in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("script", [EXECUTOR, RECYCLED], ids=["executor", "recycled"])
def test_every_number_is_answered_and_there(place: Path, script: str, method: str) -> None:
    answered = run(place, script, method)
    assert sorted(answered) == list(range(500))
    check_log(place / "app.log", answered, "number")


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_whose_process_was_killed_keeps_what_it_had_answered(
    place: Path, method: str
) -> None:
    answered = run(place, KILLED, method)
    assert set(answered) >= {*range(100), *range(2000, 2100)}
    check_log(place / "app.log", answered, "number")


def test_threads_and_children_forked_among_them(place: Path) -> None:
    answered = run(place, THREADS)
    assert sum(number >= 1_000_000 for number in answered) == 20 * 20
    check_log(place / "app.log", answered, "number")


def test_the_recipe_runs_as_it_stands(place: Path) -> None:
    recipe = RECIPES / "pool_app.py"
    done = subprocess.run(
        [sys.executable, recipe], cwd=place, env=ENVIRONMENT, capture_output=True, check=True
    )
    lsns = list(map(int, done.stdout.split()))
    assert check_log(place / "app.log", dict(enumerate(lsns)), "number")
    assert len(lsns) == 1000
