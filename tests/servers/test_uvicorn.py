# SPDX-License-Identifier: MIT
"""uvicorn: the recipe's application under load, while workers are killed and recycled, in asyncio's
event loop and in uvloop's.

Knows support, and uvicorn's options and signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import WORKERS, Server, check_killing, check_recycling, check_requests_limit

COMMAND = ("uvicorn", "--workers", str(WORKERS), "--port", "0", "--no-access-log")
APP = "uvicorn_app:app"


@pytest.fixture(params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest, place: Path) -> Iterator[Server]:
    with Server(place, *COMMAND, "--loop", request.param, APP) as started:
        yield started


def test_a_worker_that_is_killed_loses_and_delays_nothing(server: Server, place: Path) -> None:
    check_killing(server, place / "app.log")


def test_workers_are_recycled(server: Server, place: Path) -> None:
    check_recycling(server, place / "app.log", lambda: server.send(signal.SIGHUP))


def test_workers_end_after_some_requests(place: Path) -> None:
    with Server(place, *COMMAND, "--limit-max-requests", "50", APP) as server:
        check_requests_limit(server, place / "app.log")
