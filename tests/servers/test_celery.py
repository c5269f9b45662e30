# SPDX-License-Identifier: MIT
"""celery: the recipe's task in a prefork pool, over a broker of files, while pool processes are
killed and recycled.

Knows support, the recipe and celery's options."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.result import AsyncResult
from support import HANG_S, Program, check_log, writers_of

PROCESSES = 4
COMMAND = (
    *("celery", "--app", "celery_app", "worker", "--pool", "prefork"),
    *("--concurrency", str(PROCESSES), "--without-gossip", "--without-mingle"),
)


class Client:
    """Sends tasks, and collects what became of them.

    A message is written beside the broker's folder and moved into it when it is whole: kombu's
    worker takes a file without asking for its writer's lock, and loses one that is still empty."""

    def __init__(self, place: Path) -> None:
        self._app = Celery("client", broker="filesystem://", backend=f"file://{place}/results")
        self._outbox, self._broker = place / "outbox", place / "broker"
        self._app.conf.broker_transport_options = {
            "data_folder_in": str(self._broker),
            "data_folder_out": str(self._outbox),
            "control_folder": str(self._broker),
        }
        self._sent: dict[int, AsyncResult] = {}

    def send(self, count: int) -> None:
        for number in range(len(self._sent), len(self._sent) + count):
            self._sent[number] = self._app.send_task("celery_app.record", [number])
            for message in self._outbox.iterdir():
                message.rename(self._broker / message.name)

    def collect(self) -> dict[int, int]:
        """LSN by number, of all that was not lost with the process that had it."""
        answered = {}
        for number, result in self._sent.items():
            with contextlib.suppress(WorkerLostError):
                answered[number] = result.get(timeout=HANG_S, interval=0.01)
        return answered


@pytest.fixture
def client(place: Path) -> Client:
    for folder in ("outbox", "broker", "results"):
        (place / folder).mkdir()
    return Client(place)


def test_a_process_that_is_killed_loses_its_own_task_at_most(client: Client, place: Path) -> None:
    with Program(place, *COMMAND) as worker:
        client.send(100)
        before = client.collect()
        assert len(before) == 100
        victim = writers_of(place / "app.log")[-1]
        client.send(200)
        os.kill(victim, signal.SIGKILL)
        client.send(200)
        answered = client.collect()
        worker.stop()
    assert len(answered) >= 499
    writers = check_log(place / "app.log", answered, "number")
    assert len(set(writers)) > PROCESSES


def test_processes_end_after_some_tasks(client: Client, place: Path) -> None:
    with Program(place, *COMMAND, "--max-tasks-per-child", "20") as worker:
        client.send(300)
        answered = client.collect()
        worker.stop()
    assert len(answered) == 300
    assert len(set(check_log(place / "app.log", answered, "number"))) > PROCESSES
