# SPDX-License-Identifier: MIT
"""Measures what it takes to wait in Python, once, and prints it: lines of name and value.

    python_waiting.py WHO PATH COUNT

`WHO` waits: `coroutines`, as many as COUNT; `threads`, eight of them; or `tasks`, as many
coroutines that wait for nothing of ours, which shows what asyncio itself takes. First all wait for
a log that nobody serves, for a second: `memory`, KiB of resident memory for all of them, and
`idle`, milliseconds of CPU. Then COUNT records are appended and waited for, one by each coroutine,
or one after the other by each thread: `rate`, records a second, and `cpu`, microseconds a record.

Knows the public package. Changes when a question is added.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from duralog import AsyncDuraLog, DuraLog

THREADS = 8
WATCH_S = 1.0
RECORD = {"event": "login", "user": 100_017, "from": "192.0.2.17", "ok": True, "seconds": 0.25}


def resident_kib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


class Watch:
    """What has been used since it was made."""

    def __init__(self) -> None:
        self.began, self.cpu, self.memory = time.perf_counter(), time.process_time(), resident_kib()

    def say_waiting(self) -> None:
        print("memory", resident_kib() - self.memory)
        cpu = time.process_time()
        time.sleep(WATCH_S)
        print("idle", (time.process_time() - cpu) * 1e3 / WATCH_S)

    def say_done(self, count: int) -> None:
        print("rate", count / (time.perf_counter() - self.began))
        print("cpu", (time.process_time() - self.cpu) * 1e6 / count)


async def suspended(tasks: list[asyncio.Task[Any]]) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def coroutines(log: DuraLog, lsn: int, count: int) -> None:
    alog = AsyncDuraLog(log)
    watch = Watch()
    tasks = [asyncio.ensure_future(alog.wait(lsn)) for _ in range(count)]
    await suspended(tasks)
    watch.say_waiting()
    serve(log)
    await asyncio.gather(*tasks)
    watch = Watch()
    await asyncio.gather(*(alog.append(RECORD, level="durable") for _ in range(count)))
    watch.say_done(count)


async def tasks(log: DuraLog, lsn: int, count: int) -> None:
    futures = []

    async def wait() -> None:
        futures.append(asyncio.get_running_loop().create_future())
        await futures[-1]

    watch = Watch()
    waiting = [asyncio.ensure_future(wait()) for _ in range(count)]
    await suspended(waiting)
    watch.say_waiting()
    for future in futures:
        future.set_result(None)
    await asyncio.gather(*waiting)
    serve(log)  # else the record would stay in the ring, and the ring in memory


def threads(log: DuraLog, lsn: int, count: int) -> None:
    watch = Watch()
    waiting = [threading.Thread(target=log.wait, args=(lsn,)) for _ in range(THREADS)]
    start(waiting)
    time.sleep(0.1)
    watch.say_waiting()
    serve(log)
    for thread in waiting:
        thread.join()

    def append() -> None:
        for _ in range(count // THREADS):
            log.append(RECORD, level="durable")

    watch = Watch()
    appending = [threading.Thread(target=append) for _ in range(THREADS)]
    start(appending)
    for thread in appending:
        thread.join()
    watch.say_done(count)


def start(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()


def serve(log: DuraLog) -> None:
    DuraLog(log.path).close()


def main(who: str, path: str, count: str) -> None:
    with DuraLog(path, flusher=False) as log:
        lsn = log.append(RECORD)
        if who == "threads":
            threads(log, lsn, int(count))
        else:
            asyncio.run({"coroutines": coroutines, "tasks": tasks}[who](log, lsn, int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
