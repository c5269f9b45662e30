# SPDX-License-Identifier: MIT
"""A directory for a server and its log, and the proof that nothing of them stays.

Knows support. Changes when a test needs another kind of place.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import BUILD, has_ended, processes_at, rings_of


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="duralog-servers-"))
    yield directory
    for meta in directory.rglob("meta"):
        subprocess.run([BUILD / "duralog", "stop", meta.parent], check=True, capture_output=True)
        assert rings_of(meta.parent) == []
    shutil.rmtree(directory)
    assert all(map(has_ended, processes_at(directory)))
