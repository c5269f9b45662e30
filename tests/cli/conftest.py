# SPDX-License-Identifier: MIT
"""The fixtures of the command line's tests: logs that leave nothing behind.

Knows programs.py. Changes when tests need another kind of log.
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import BUILD, Cli, Handle, find_logs, find_processes, find_rings


@pytest.fixture(scope="session")
def cli() -> Cli:
    return Cli()


@pytest.fixture
def work(cli: Cli) -> Iterator[Path]:
    """A directory for one test; afterwards all its logs are stopped, and nothing may be left."""
    directory = Path(tempfile.mkdtemp(prefix="duralog-cli-"))
    yield directory
    stopped = [log for log in find_logs(directory) if cli("stop", log).status == 0]
    rings = [ring for log in stopped for ring in find_rings(log)]
    processes = find_processes(directory)
    shutil.rmtree(directory)
    assert rings == []
    assert processes == []


@pytest.fixture
def log(work: Path) -> Path:
    """Where a log may be made; nothing is there yet."""
    return work / "app.log"


@pytest.fixture
def handle(log: Path) -> Iterator[Handle]:
    """The test's log, opened by the library; made if it is not there."""
    library = ctypes.CDLL(str(BUILD / "libshmwal.so"))
    library.shmwal_error.restype = ctypes.c_char_p
    opened = Handle(library, log)
    yield opened
    opened.close()
