# SPDX-License-Identifier: MIT
"""Measures one thing in Python, once, and prints it: lines of name and value.

    python_measure.py calls PATH COUNT          ns a record, one thread; and of orjson alone
    python_measure.py append WHO PATH COUNT     records a second, to the last sync
    python_measure.py replay WHO PATH COUNT     records a second, to one that goes through all

To append, `WHO` is `earlier`, the earlier library made anew, with 8 threads that append dicts as
they make them; `threads` or `processes`, which do the same with ours; `many`, one append_many of
dicts that are there already; or `bytes`, one of bytes. To replay, it is `earlier`, for which 4
processes decode; `dicts` or `bytes`, which ours reads in the one; or `loads`: the floor, payloads
that lie in memory.

Ours is opened as the earlier library was: with its queue's length, and its second from one commit
to the next. Knows the public package, python_peer.py. Changes when a question is added.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import python_peer
from duralog import DuraLog

WORKERS, REPLAYERS, TURNS = 8, 4, 7
OPTIONS: dict[str, Any] = {"commit_interval_seconds": 1.0, "max_queue_size": 100_000}

Turn = Callable[[], object]
fork = multiprocessing.get_context("fork")


def make(n: int) -> dict[str, Any]:
    """100 bytes of JSON."""
    return {
        "event": "login",
        "user": 100_000 + n,
        "from": "192.0.2.17",
        "ok": True,
        "seconds": 0.25,
        "path": "/api/v1/items",
    }


def dicts(count: int) -> list[dict[str, Any]]:
    return [make(n) for n in range(count)]


def texts(count: int) -> list[bytes]:
    """100 bytes each, no two of them the same."""
    return [b"%0100d" % n for n in range(count)]


def consume(records: Any) -> None:
    for _ in records:
        pass


def each(function: Callable[[Any], object], records: Iterable[Any]) -> None:
    for record in records:
        function(record)


# ---- One thread's calls --------------------------------------------------------------------------


def take_turns(turns: dict[str, Turn], count: int, between: Turn) -> None:
    """Prints the median of each, ns a record."""
    spent: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(TURNS):
        for name, turn in turns.items():
            between()
            began = time.perf_counter_ns()
            turn()
            spent[name].append((time.perf_counter_ns() - began) / count)
    for name, values in spent.items():
        print(name, median(values))


def calls(path: Path, count: int) -> None:
    """The ring is empty when a turn begins, and does not fill up in it."""
    records, payloads = dicts(count), texts(count)
    encoded = [orjson.dumps(record) for record in records]
    with DuraLog(path) as log:
        end = log.append_many(records, level="durable")
        reading: dict[str, Turn] = {
            "loads": lambda: each(orjson.loads, encoded),
            "replay": lambda: consume(log.replay()),
        }
        take_turns(reading, count, log.sync)
        log.append_many(payloads, level="durable")
        take_turns({"replay-bytes": lambda: consume(log.replay(end))}, count, log.sync)
        appending: dict[str, Turn] = {
            "dumps": lambda: each(orjson.dumps, records),
            "append": lambda: each(log.append, records),
            "append_many": lambda: log.append_many(records),
            "append_many-bytes": lambda: log.append_many(payloads),
        }
        take_turns(appending, count, log.sync)


# ---- Many at once --------------------------------------------------------------------------------


def rate(kind: Any, number: int, prepare: Callable[[], Turn], total: int, finish: Turn) -> None:
    """Has threads or processes prepare something and then, all at once, do it; prints how many
    records a second that is until it is finished."""
    start = (threading if kind is threading.Thread else fork).Barrier(number + 1)

    def work() -> None:
        turn = prepare()
        start.wait()
        turn()

    workers = [kind(target=work) for _ in range(number)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    finish()
    print("rate", total / (time.perf_counter() - began))


def append(who: str, path: Path, count: int) -> None:
    def appender(log: Any) -> Turn:
        return lambda: each(log.append, map(make, range(count // WORKERS)))

    def attached(log: DuraLog) -> Turn:
        log.sync()
        return appender(log)

    if who == "earlier":
        earlier = python_peer.EarlierLog(path, **OPTIONS)
        rate(threading.Thread, WORKERS, lambda: appender(earlier), count, earlier.close)
        return
    with DuraLog(path, **OPTIONS) as log:
        log.append("the flusher is there", level="durable")
        if who in {"threads", "processes"}:
            kind: Any = threading.Thread if who == "threads" else fork.Process
            rate(kind, WORKERS, lambda: attached(log), count, log.sync)
        else:
            records: list[Any] = dicts(count) if who == "many" else texts(count)
            turn = lambda: log.append_many(records, level="durable")  # noqa: E731
            rate(threading.Thread, 1, lambda: turn, count, log.sync)


def replay(who: str, path: Path, count: int) -> None:
    def measure(turn: Turn) -> None:
        rate(threading.Thread, 1, lambda: turn, count, lambda: None)

    if who == "earlier":
        earlier = python_peer.EarlierLog(path, **OPTIONS)
        each(earlier.append, dicts(count))
        earlier.close()
        measure(lambda: consume(python_peer.replay(path, REPLAYERS)))
    elif who == "loads":
        encoded = [orjson.dumps(record) for record in dicts(count)]
        measure(lambda: each(orjson.loads, encoded))
    else:
        with DuraLog(path, **OPTIONS) as log:
            log.append_many(dicts(count) if who == "dicts" else texts(count), level="durable")
            measure(lambda: consume(log.replay()))


def main() -> None:
    question, *who, path, count = sys.argv[1:]
    if question == "calls":
        calls(Path(path), int(count))
    else:
        {"append": append, "replay": replay}[question](who[0], Path(path), int(count))


if __name__ == "__main__":
    main()
