# SPDX-License-Identifier: MIT
"""What the library's own functions, made without Python's headers, owe to the interpreter.

References, memory, other interpreters of the process, its end. Knows the package's _native, and
which interpreters give the library what it needs.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import pickle
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import ROOT
from duralog import Codec, DuraLog, _native

KNOWN = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")

pytestmark = pytest.mark.skipif(not KNOWN, reason="this interpreter has only the way by ctypes")


def run(script: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_this_interpreter_is_known() -> None:
    assert _native.library().is_fast


def test_another_one_s_type_is_not_taken_for_its_own() -> None:
    usable = ctypes.PyDLL(os.environ["DURALOG_LIBRARY"]).duralog_python_usable
    usable.argtypes = (ctypes.py_object,)
    assert usable(dict) == 1
    assert usable(list) == 0
    assert usable(type("dict", (dict,), {})) == 0


# ---- References ----------------------------------------------------------------------------------


class Odd(dict):  # type: ignore[type-arg]
    """Declined by the library, taken by the package."""


def fail(log: DuraLog, *records: Any) -> None:
    for record in records:
        try:
            log.append(record)
        except TypeError:
            pass
        else:
            raise AssertionError(record)


VALUE = "a value that is shared by all the records of these tests: not ASCII, ü"
PLAIN = {"key": VALUE, "list": [VALUE, None, True, 7, 0.5, {"inner": VALUE}]}
MIXED = [PLAIN, VALUE, b"bytes", [VALUE], Odd(a=VALUE), bytearray(b"x"), {"big": 1 << 70}]
BAD = [{"a": float("nan")}, {"a": (VALUE,)}, {7: VALUE}, "\ud800", {"a": "\ud800"}, VALUE.encode, 7]


def fail_many(log: DuraLog) -> None:
    try:
        log.append_many([VALUE, {"a": (VALUE,)}])
    except TypeError:
        return
    raise AssertionError


def use_codec(log: DuraLog) -> None:
    with DuraLog(log.path, codec=Codec(pickle.dumps, pickle.loads, type=17)) as other:
        before = other.append((VALUE,))
        other.append_many([(VALUE,), 7] * 20)
        list(other.replay(from_lsn=before))


USES: dict[str, Callable[[DuraLog], Any]] = {
    "append": lambda log: [log.append(record) for record in MIXED],
    "append what is bad": lambda log: fail(log, *BAD),
    "append_many": lambda log: log.append_many(MIXED * 10),
    "append_many of an iterator": lambda log: log.append_many(iter(MIXED)),
    "append_many of large ones": lambda log: log.append_many([b"x" * 70_000, VALUE * 2000] * 3),
    "append_many of something bad": lambda log: fail_many(log),
    "replay": lambda log: list(log.replay()),
    "replay in other forms": lambda log: [
        *log.replay(with_lsn=True),
        *log.replay(raw=True),
        *log.replay(raw=True, with_lsn=True),
    ],
    "replay, left half way": lambda log: next(log.replay()),
    "follow": lambda log: list(itertools.islice(log.follow(from_lsn=0), 20)),
    "open and close": lambda log: DuraLog(log.path).close(),
    "a codec": use_codec,
}


def anon_kib() -> int:
    """Memory of its own, unlike the rings and files that it maps."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError


@pytest.mark.parametrize("use", USES)
def test_no_object_is_left_behind(log: DuraLog, use: str) -> None:
    log.append_many(MIXED * 5)

    def state() -> tuple[int, ...]:
        gc.collect()
        shared = (VALUE, PLAIN, None, dict, str, log._way.dumps, log._way.loads, log._way.decode)
        return sys.getallocatedblocks(), *map(sys.getrefcount, shared)

    grown: list[list[int]] = []
    while len(grown) < 5:  # caches fill now and then; what is left behind at each use grows always
        before = state()
        for _ in range(30):
            USES[use](log)
        grown.append([after - earlier for earlier, after in zip(before, state())])
        if all(-20 < change < 20 for change in grown[-1]):
            return
    raise AssertionError(grown)


def test_a_million_records_leave_no_memory_behind(log: DuraLog) -> None:
    def round_trip() -> None:
        for _ in range(10):
            log.append_many([PLAIN, b"x" * 100] * 10_000)
        for _ in log.replay():
            pass

    round_trip()
    before = anon_kib()
    for _ in range(4):
        round_trip()
    assert anon_kib() - before < 20_000  # a reference a record would be 30,000 and more


# ---- Others who live in the process --------------------------------------------------------------


def test_ctrl_c_ends_append_many_of_an_endless_iterator(path: Path) -> None:
    script = """
import itertools, os, signal, sys, threading
from duralog import DuraLog
log = DuraLog(sys.argv[1])
def interrupt():
    before = log.committed_lsn
    while log.committed_lsn < before + (1 << 20):
        pass
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    log.append_many(itertools.repeat({"a": 1}))
except KeyboardInterrupt:
    print("interrupted, and", next(log.replay()))
"""
    assert run(script, path) == "interrupted, and {'a': 1}\n"


def test_closing_ends_append_many_of_an_endless_iterator(path: Path) -> None:
    script = """
import itertools, sys, threading
from duralog import DuraLog, DuraLogClosedError
log = DuraLog(sys.argv[1])
def close():
    before = log.committed_lsn
    while log.committed_lsn < before + (1 << 20):
        pass
    log.close()
closing = threading.Thread(target=close)
closing.start()
try:
    log.append_many(itertools.repeat(b"x"))
except DuraLogClosedError:
    print("closed")
closing.join()
"""
    assert run(script, path) == "closed\n"


SUB = """
import sys
try:
    import _interpreters as interpreters
    create = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    create = lambda: interpreters.create(isolated=False)
INNER = '''
import sys
sys.modules["orjson"] = None  # which crashes in its second interpreter
from duralog import DuraLog
with DuraLog({path!r}) as log:
    log.append_many([{{"a": 1}}, "text", b"bytes"])
    log.append({{"a": 2}})
    assert len(list(log.replay())) == 4 * {n}, list(log.replay())
'''
from duralog import DuraLog
for n in range(1, 4):
    other = create()
    failed = interpreters.run_string(other, INNER.format(path=sys.argv[1], n=n))
    assert failed is None, failed
    interpreters.destroy(other)
with DuraLog(sys.argv[1]) as log:
    log.append("the main one")
    print(len(list(log.replay())))
"""


def test_other_interpreters_of_the_process_use_logs_too(path: Path) -> None:
    assert run(SUB, path) == "13\n"


def test_the_interpreter_ends_with_handles_and_iterators_open(path: Path) -> None:
    script = """
import sys
from duralog import DuraLog
log = DuraLog(sys.argv[1])
log.append_many([b"x"] * 5000)
append, many = log._append, log._append_many
replay, follow, views = log.replay(), log.follow(from_lsn=0), log.replay_views()
kept = [next(replay), next(follow), next(views)]
class Late:
    def __del__(self):
        append("late")
        list(replay)
late = Late()
late.itself = late
print("end")
"""
    assert run(script, path) == "end\n"


def test_an_iterator_that_iterates_over_itself_does_not_crash(path: Path) -> None:
    def loads(data: bytes) -> Any:
        return next(replay)

    with DuraLog(path, codec=Codec(pickle.dumps, loads, type=17)) as log:
        log.append(7)
        replay: Iterator[Any] = log.replay()
        with pytest.raises(ValueError, match="already executing"):
            next(replay)
