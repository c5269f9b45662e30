# SPDX-License-Identifier: MIT
"""The fixtures of the command line's tests: logs that leave nothing behind.

Knows programs.py. Changes when tests need another kind of log.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import BUILD, HANG_S, Cli, Handle, find_logs, find_processes, find_rings, is_sanitized


@pytest.fixture(scope="session")
def cli() -> Cli:
    return Cli()


@pytest.fixture
def work(cli: Cli) -> Iterator[Path]:
    """A directory for one test; afterwards all its logs are stopped, and nothing may be left."""
    directory = Path(tempfile.mkdtemp(prefix="duralog-cli-"))
    yield directory
    rings = [ring for log in find_logs(directory) for ring in rings_left(cli, log)]
    processes = [process for process in find_processes(directory) if not await_end(process)]
    shutil.rmtree(directory)
    assert rings == []
    assert processes == []


def rings_left(cli: Cli, log: Path) -> list[Path]:
    """After the log was stopped. A flusher that a test has killed leaves its ring to the next one,
    which removes it at its own end."""
    rings = find_rings(log)
    if rings and cli("stop", log).status == 0 and find_rings(log):
        cli("append", log)
        cli("stop", log)
    return find_rings(log)


def await_end(process: int) -> bool:
    """A flusher that was stopped has let go of its log some moments before it is gone itself."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], HANG_S)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def log(work: Path) -> Path:
    """Where a log may be made; nothing is there yet."""
    return work / "app.log"


@pytest.fixture
def handle(log: Path) -> Iterator[Handle]:
    """The test's log, opened by the library; made if it is not there."""
    if is_sanitized():
        pytest.skip("a library with a sanitizer in it cannot be loaded by this program")
    library = ctypes.CDLL(str(BUILD / "libshmwal.so"))
    library.shmwal_error.restype = ctypes.c_char_p
    opened = Handle(library, log)
    yield opened
    opened.close()
