# SPDX-License-Identifier: MIT
"""uWSGI: the recipe's application under load, while workers are killed and recycled.

Knows support, and uWSGI's options and signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import WORKERS, Server, check_killing, check_recycling, check_requests_limit, free_port


def command() -> list[str]:
    """The port must have a number, else uWSGI takes another one when it is told to reload; it does
    that by running itself again, and with the wheel of PyPI that is the interpreter."""
    return [
        *("uwsgi", "--master", "--processes", str(WORKERS), "--module", "uwsgi_app"),
        *("--http-socket", f"127.0.0.1:{free_port()}", "--binary-path", sys.executable),
        *("--die-on-term", "--disable-logging"),
    ]


@pytest.fixture(params=[[], ["--lazy-apps"]], ids=["opened before the fork", "lazy-apps"])
def server(request: pytest.FixtureRequest, place: Path) -> Iterator[Server]:
    with Server(place, *command(), *request.param) as started:
        yield started


def test_a_worker_that_is_killed_loses_and_delays_nothing(server: Server, place: Path) -> None:
    check_killing(server, place / "app.log")


def test_workers_are_recycled(server: Server, place: Path) -> None:
    check_recycling(server, place / "app.log", lambda: server.send(signal.SIGHUP))


def test_workers_end_after_some_requests(place: Path) -> None:
    limits = ("--max-requests", "50", "--min-worker-lifetime", "0")
    with Server(place, *command(), *limits) as server:
        check_requests_limit(server, place / "app.log")
