# SPDX-License-Identifier: MIT
"""replay(progress=True), at a terminal and without one. Knows the public package."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios

import pytest
from conftest import ROOT
from duralog import DuraLog

SCRIPT = """
import sys
if "plain" in sys.argv[2]:
    sys.modules["tqdm"] = None
from duralog import DuraLog
with DuraLog(sys.argv[1], create=False) as log:
    print(len(list(log.replay(progress=True))), list(log.replay(progress=True, with_lsn=True))[-1])
"""


def shown(log: DuraLog, how: str, terminal: bool) -> tuple[str, str]:
    """What a script that replays it prints to stdout and to stderr."""
    reading, writing = os.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 25, 80, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, log.path, how],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        check=False,
    )
    os.close(writing)
    said = b""
    with open(reading, "rb", buffering=0) as stderr, contextlib.suppress(OSError):
        while more := stderr.read(1 << 16):  # a terminal that is gone ends with EIO
            said += more
    assert done.returncode == 0, said
    return done.stdout, said.decode()


@pytest.fixture
def last(log: DuraLog) -> int:
    return log.append_many({"n": n} for n in range(3000))


def test_a_plain_line_at_a_terminal(log: DuraLog, last: int) -> None:
    stdout, stderr = shown(log, "plain", terminal=True)
    assert stdout == f"3000 ({last}, {{'n': 2999}})\n"
    assert f"replay app.log: 100 % of {last:,} bytes" in stderr.splitlines()[-1]


def test_tqdm_s_bar_if_it_is_there(log: DuraLog, last: int) -> None:
    pytest.importorskip("tqdm")
    stdout, stderr = shown(log, "tqdm", terminal=True)
    assert stdout.startswith("3000 ")
    assert "replay app.log: 100%|" in stderr


@pytest.mark.parametrize("how", ["plain", "tqdm"])
def test_nothing_in_a_pipe(log: DuraLog, last: int, how: str) -> None:
    stdout, stderr = shown(log, how, terminal=False)
    assert (stdout[:5], stderr) == ("3000 ", "")


def test_records_are_the_same_with_it(log: DuraLog, last: int) -> None:
    for options in ({}, {"with_lsn": True}, {"raw": True}, {"with_lsn": True, "raw": True}):
        plain = list(log.replay(**options))  # type: ignore[call-overload]
        assert list(log.replay(progress=True, **options)) == plain  # type: ignore[call-overload]
