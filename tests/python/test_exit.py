# SPDX-License-Identifier: MIT
"""The end of a program, however it comes: it does not hang, says nothing that it should not, and
loses nothing that was appended.

Each program prints how many appends have returned; all of those, and no part of another, must be in
the log. They run in the interpreter's development mode, which tells of what is done too late. Knows
the public package.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from children import HANG_S, environment
from duralog import DuraLog

START = """
import atexit, gc, os, sys, threading, weakref
from duralog import DuraLog, DuraLogClosedError

path = sys.argv[1]

def tell(count):
    os.write(1, b"%d\\n" % count)

def append(log, count):
    for number in range(count):
        log.append({"number": number})
"""

# What ends, and how many records it leaves.
PROGRAMS = {
    "an open handle": """
log = DuraLog(path)
append(log, 10)
tell(10)
""",
    "an open handle without a flusher": """
log = DuraLog(path, flusher=False)
append(log, 10)
tell(10)
""",
    "a handle in a cycle": """
class Holder:
    pass
holder = Holder()
holder.itself, holder.log = holder, DuraLog(path)
append(holder.log, 10)
tell(10)
""",
    "a handle in a cycle that was collected": """
def make():
    holder = [DuraLog(path)]
    holder.append(holder)
    append(holder[0], 10)
make()
gc.collect()
tell(10)
""",
    "a finalizer that appends": """
class Holder:
    def __init__(self):
        self.log = DuraLog(path)
    def __del__(self):
        append(self.log, 10)
        tell(10)
holder = Holder()
""",
    "an atexit function that appends": """
log = DuraLog(path)
atexit.register(lambda: (append(log, 10), tell(10)))
""",
    "an atexit function that closes": """
log = DuraLog(path)
append(log, 10)
tell(10)
atexit.register(log.close)
""",
    "an atexit function that opens": """
def late():
    with DuraLog(path) as log:
        append(log, 10)
        tell(10)
atexit.register(late)
""",
    "weakref.finalize": """
log = DuraLog(path)
append(log, 10)
tell(10)
weakref.finalize(sys.modules["os"], log.close)
""",
    "daemon threads that append": """
log = DuraLog(path)
counts = [0] * 4
def work(index):
    while True:
        log.append({"number": index})
        counts[index] += 1
for index in range(4):
    threading.Thread(target=work, args=(index,), daemon=True).start()
while sum(counts) < 1000:
    pass
tell(sum(counts))
""",
    "daemon threads that wait": """
log = DuraLog(path, flusher=False)
append(log, 10)
begun = threading.Barrier(4)
def wait(call):
    begun.wait()
    call()
for call in (log.sync, lambda: next(log.follow()), lambda: log.wait(log.append("x"))):
    threading.Thread(target=wait, args=(call,), daemon=True).start()
begun.wait()
tell(10)
""",
    "daemon threads at a full ring": """
log = DuraLog(path, ring_bytes=1 << 16, flusher=False)
counts = [0] * 2
def work(index):
    while True:
        log.append(b"x" * 100)
        counts[index] += 1
for index in range(2):
    threading.Thread(target=work, args=(index,), daemon=True).start()
while sum(counts) < 300:
    pass
tell(sum(counts))
""",
    "threads that are joined": """
log = DuraLog(path)
def work():
    append(log, 10)
    tell(20)
threading.Thread(target=work).start()
append(log, 10)
""",
    "sys.exit in a thread": """
log = DuraLog(path)
def work():
    append(log, 10)
    sys.exit(3)
thread = threading.Thread(target=work)
thread.start()
thread.join()
tell(10)
""",
    "sys.exit within with": """
with DuraLog(path) as log:
    append(log, 10)
    tell(10)
    sys.exit(0)
""",
    "os._exit": """
log = DuraLog(path)
append(log, 10)
tell(10)
os._exit(0)
""",
    "os._exit within with": """
with DuraLog(path) as log:
    append(log, 10)
    tell(10)
    os._exit(0)
""",
    "a child that uses what it inherited": """
log = DuraLog(path)
append(log, 5)
child = os.fork()
if child == 0:
    append(log, 5)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
tell(10)
""",
    "a child that leaves what it inherited": """
log = DuraLog(path)
append(log, 10)
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
tell(10)
""",
    "iterators that were left": """
log = DuraLog(path)
append(log, 10)
replayed, followed = log.replay(), log.follow(from_lsn=0)
next(replayed), next(followed)
tell(10)
""",
    "a handle that outlives what it was made of": """
log = DuraLog(path)
append(log, 10)
tell(10)
sys.modules["keep"] = log
for name in [name for name in sys.modules if name.startswith("duralog")]:
    del sys.modules[name]
""",
    "the standard streams closed": """
log = DuraLog(path)
append(log, 10)
tell(10)
sys.stdout.close()
sys.stdin.close()
""",
}


def end_of(path: Path, program: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", START + program, path],
        env=environment(),
        capture_output=True,
        timeout=HANG_S,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_lost_and_nothing_said(path: Path, name: str) -> None:
    done = end_of(path, PROGRAMS[name])
    assert (done.returncode, done.stderr) == (0, b""), done
    with DuraLog(path) as log:
        found = len(list(log.replay()))
    told = int(done.stdout.split()[-1])
    exact = "threads" not in name or "joined" in name
    assert found == told if exact else found >= told


def test_an_exception_goes_through_with_and_is_all_that_is_said(path: Path) -> None:
    program = "with DuraLog(path) as log:\n    append(log, 10)\n    raise LookupError('mine')\n"
    done = end_of(path, program)
    assert done.returncode == 1
    told = done.stderr.decode()
    assert told.count("Traceback") == 1
    assert told.endswith("LookupError: mine\n")
    with DuraLog(path) as log:
        assert len(list(log.replay())) == 10


def test_an_exception_of_close_does_not_hide_the_one_within(path: Path) -> None:
    """The flusher is told to stop, so that the sync at the end fails."""
    program = f"""
import subprocess
with DuraLog(path) as log:
    append(log, 10)
    subprocess.run([{str(Path(sys.executable))!r}, "-m", "duralog", "stop", path], check=True,
                   stdout=subprocess.DEVNULL)
    log.append("never")
"""
    done = end_of(path, program)
    assert done.returncode == 1
    assert b"DuraLogStoppedError" in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_killed_program_loses_nothing(path: Path) -> None:
    program = """
import signal
log = DuraLog(path)
append(log, 1000)
tell(1000)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = end_of(path, program)
    assert done.returncode == -9
    with DuraLog(path) as log:
        assert len(list(log.replay())) == 1000
