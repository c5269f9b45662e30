# SPDX-License-Identifier: MIT
"""gunicorn: the recipe's application under load, while workers are killed and recycled.

Knows support, and gunicorn's options and signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import (
    WORKERS,
    Server,
    check_killing,
    check_recycling,
    check_requests_limit,
    flusher_of,
    has_ended,
)

COMMAND = ("gunicorn", "--workers", str(WORKERS), "--bind", "127.0.0.1:0", "gunicorn_app:app")


@pytest.fixture(params=[[], ["--preload"]], ids=["each worker opens", "preload"])
def server(request: pytest.FixtureRequest, place: Path) -> Iterator[Server]:
    with Server(place, *COMMAND, *request.param) as started:
        yield started


def test_a_worker_that_is_killed_loses_and_delays_nothing(server: Server, place: Path) -> None:
    check_killing(server, place / "app.log")


def test_workers_are_recycled(server: Server, place: Path) -> None:
    check_recycling(server, place / "app.log", lambda: server.send(signal.SIGHUP))


def test_workers_end_after_some_requests(place: Path) -> None:
    options = ("--max-requests", "50", "--max-requests-jitter", "20", "--preload")
    with Server(place, *COMMAND, *options) as server:
        check_requests_limit(server, place / "app.log")


def test_the_flusher_ends_by_itself_after_the_server(place: Path) -> None:
    with Server(place, *COMMAND, "--preload") as server:
        server.get("/")
        flusher = flusher_of(place / "app.log")
        server.stop()
    assert has_ended(flusher)
