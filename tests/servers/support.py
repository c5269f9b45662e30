# SPDX-License-Identifier: MIT
"""What the tests of servers share: a server that runs in a directory of its own, a crowd of
clients, and the check that the log holds what they were told.

Knows the recipes, which write a record of "path" or "number" and "pid" and answer with its LSN, and
/proc. Changes with the recipes.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, TypeVar

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("DURALOG_BUILD", os.environ.get("B", "build"))
RECIPES = ROOT / "pyduralog/recipes"
WORKERS = 4  # of every server
HANG_S = 120  # what takes longer hangs; far beyond what anything here needs on a busy machine

os.environ["DURALOG_LIBRARY"] = str(BUILD / "libshmwal.so")
sys.path.insert(0, str(ROOT / "pyduralog"))

from duralog import DuraLog  # noqa: E402

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT / 'pyduralog'}:{RECIPES}",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of forks among threads, which are meant
    "C_FORCE_ROOT": "1",  # celery's word for: it is meant to run as root
}


# ---- Processes -----------------------------------------------------------------------------------


def has_ended(pid: int) -> bool:
    """Waits for the end of a process that need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(descriptor, "rb", buffering=0) as ended:
        return bool(select.select([ended], [], [], HANG_S)[0])


def stat_fields(pid: int) -> list[str]:
    """State, parent, process group, session and so on; nothing of a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def processes(matches: Callable[[list[str]], bool]) -> list[int]:
    pids = [int(each.name) for each in Path("/proc").glob("[0-9]*")]
    return sorted(pid for pid in pids if (fields := stat_fields(pid)) and matches(fields))


_Program = TypeVar("_Program", bound="Program")


class Program:
    """A program of the virtual environment that runs in a directory, in a session of its own."""

    def __init__(self, place: Path, *command: str) -> None:
        self.place = place
        self.output = place / "output"
        program = Path(sys.executable).parent / command[0]
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [program, *command[1:]],
                cwd=place,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def await_line(self, pattern: str) -> str:
        """The first group of the pattern, as soon as the program says something that matches."""
        while (found := re.search(pattern, self.said())) is None:
            assert self.process.poll() is None, self.said()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        return found[1]

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it, with all that it has started."""
        self.send(number)
        self.process.wait(HANG_S)
        session = str(self.process.pid)
        left = processes(lambda fields: fields[3] == session and fields[0] != "Z")
        assert all(map(has_ended, left))

    def __enter__(self: _Program) -> _Program:
        return self

    def __exit__(self, *_: object) -> None:
        """Of a test that has failed, nothing stays either."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(HANG_S)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Server(Program):
    """One that answers requests, on a port of its own choice that it names in its output."""

    def __init__(self, place: Path, *command: str) -> None:
        super().__init__(place, *command)
        self.port = int(self.await_line(r"127\.0\.0\.1:([1-9]\d*)"))

    def get(self, path: str) -> int:
        """What it answers: the LSN of the record. A request that was lost with the process that had
        it is a ConnectionError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, (answer.status, text)
            return int(text)
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


# ---- Clients -------------------------------------------------------------------------------------


class Crowd:
    """Clients that ask as fast as they get answers, each time for something new. A context: inside
    it they ask, and a client that has waited for HANG_S raises."""

    def __init__(self, ask: Callable[[str], int], clients: int = 8) -> None:
        self.answered: dict[str, int] = {}  # LSN by what was asked for
        self.lost = 0
        self._ask = ask
        self._enough = threading.Event()
        self._changed = threading.Condition()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]

    def _run(self, client: int) -> None:
        number = 0
        while not self._enough.is_set():
            asked = f"/{client}/{number}"
            number += 1
            lsn = None
            try:
                lsn = self._ask(asked)
            except ConnectionError:
                pass
            except BaseException as error:
                self._errors.append(error)
            with self._changed:
                if lsn is None:
                    self.lost += 1
                else:
                    self.answered[asked] = lsn
                self._changed.notify_all()
            if self._errors:
                return

    def await_answers(self, more: int) -> None:
        """Until there are as many more than now."""
        with self._changed:
            enough = len(self.answered) + more
            while len(self.answered) < enough and not self._errors:
                assert self._changed.wait(HANG_S), "nobody is answered any more"
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]


# ---- The log -------------------------------------------------------------------------------------


def rings_of(log: Path) -> list[str]:
    uuid = (log / "meta").read_bytes()[32:48].hex()
    return [name for name in os.listdir("/dev/shm") if uuid in name]


def flusher_of(log: Path) -> int:
    (pid,) = processes_at(log)
    return pid


def processes_at(place: Path) -> list[int]:
    """Flushers, which bear their log's path."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if b"duralog-flusher" in command and os.fsencode(place) in command:
                found.append(int(process.name))
    return found


def writers_of(log: Path) -> list[int]:
    """Who wrote each record, in the log's order."""
    with DuraLog(log) as opened:
        return [record["pid"] for record in opened.replay()]


def check_log(log: Path, answered: dict[Any, int], key: str) -> list[int]:
    """All that was answered is there once, where the answer said; and nothing is there twice.
    Returns who wrote each record."""
    with DuraLog(log) as opened:
        records = list(opened.replay(with_lsn=True))
    where = {record[key]: lsn for lsn, record in records}
    assert len(where) == len(records)
    assert {asked: where.get(asked) for asked in answered} == answered
    return [record["pid"] for _, record in records]


def await_writers(crowd: Crowd, log: Path, count: int) -> list[int]:
    """Until so many workers have answered: one that starts slowly is not a successor. Who wrote
    each record so far."""
    for _ in range(100):
        crowd.await_answers(50)
        writers = writers_of(log)
        if len(set(writers)) >= count:
            return writers
    raise AssertionError(f"only {len(set(writers))} workers have answered")


def check_killing(server: Server, log: Path) -> None:
    """A worker is killed under load: nothing that was answered is missing, and the others went on
    answering before there was another one in its place."""
    with Crowd(server.get) as crowd:
        before = await_writers(crowd, log, WORKERS)
        victim = before[-1]
        os.kill(victim, signal.SIGKILL)
        crowd.await_answers(200)
        while set(writers_of(log)) <= set(before):
            crowd.await_answers(10)
    server.stop()
    writers = check_log(log, crowd.answered, "path")
    last = max(index for index, pid in enumerate(writers) if pid == victim)
    successor = next(i for i, pid in enumerate(writers) if i > last and pid not in before)
    assert successor - last > 1


def check_recycling(server: Server, log: Path, recycle: Callable[[], None]) -> None:
    """All workers are replaced under load, and nothing that was answered is missing."""
    with Crowd(server.get) as crowd:
        crowd.await_answers(200)
        before = set(writers_of(log))
        recycle()
        assert all(map(has_ended, before))
        crowd.await_answers(200)
    server.stop()
    assert not set(check_log(log, crowd.answered, "path")) <= before


def check_requests_limit(server: Server, log: Path) -> None:
    """Workers that end after some requests are replaced, again and again."""
    with Crowd(server.get) as crowd:
        await_writers(crowd, log, WORKERS + 1)
    server.stop()
    check_log(log, crowd.answered, "path")
