# SPDX-License-Identifier: MIT
"""Where the benchmark programs run: builds them, runs them, and removes the logs that they made.

Knows the Makefiles and the command line tools. Changes when a tool's arguments do.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
TMPFS = Path("/dev/shm")
FIO_DEPTHS = (1, 4, 8)
FIO_SETTINGS = (
    *("--rw=write", "--bs=1m", "--direct=1", "--sync=dsync", "--fallocate=native"),
    *("--ioengine=io_uring", "--output-format=json"),
)

Values = dict[str, float]


class Failure(Exception):
    """A sentence for the user."""


def output_of(command: Sequence[str | Path], **settings: str) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise Failure(f"{words}\nended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


class Bed:
    """A directory of its own below `parent`, gone at the end with all that ran in it."""

    def __init__(self, build: Path, parent: Path) -> None:
        self.build = ROOT / build
        self.directory = parent.absolute() / f"run-{os.getpid()}"
        self.made_parent = not parent.exists()
        self.sync_methods: Counter[str] = Counter()  # how often a flusher chose which
        self.numbers = itertools.count()  # of what was made here

    def __enter__(self) -> Bed:
        self.directory.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.made_parent:
            with suppress(OSError):
                self.directory.parent.rmdir()  # unless somebody else uses it

    def build_all(self) -> None:
        build = self.build.relative_to(ROOT) if ROOT in self.build.parents else self.build
        jobs = f"-j{os.cpu_count() or 2}"
        output_of(["make", "-s", jobs, f"B={build}", "all"])
        output_of(["make", "-s", jobs, "-f", "bench/Makefile", f"B={build}"])

    def has(self, program: str) -> bool:
        """Whether it was built: a peer is only where its library is."""
        return (self.build / "bench" / program).exists()

    # ---- Running ----

    def environment(self) -> dict[str, str]:
        """What finds the flusher and the library that were just built."""
        return {
            "DURALOG_FLUSHER": str(self.build / "duralog-flusher"),
            "DURALOG_LIBRARY": str(self.build / "libshmwal.so"),
        }

    def new_path(self, below: Path | None = None) -> Path:
        return (below or self.directory) / f"data-{os.getpid()}-{next(self.numbers)}"

    def measure(self, program: str, *arguments: str | int | Path) -> Values:
        """What the program has measured: its lines of name and value."""
        words = [str(self.build / "bench" / program), *map(str, arguments)]
        text = output_of(words, **self.environment())
        pairs = (line.split() for line in text.splitlines())
        return {name: float(value) for name, value in pairs}

    def measure_log(
        self,
        program: str,
        *arguments: str | int | Path,
        below: Path | None = None,
        ring_bytes: int = 0,
        spare_bytes: int = 0,
    ) -> Values:
        """The same on a new log, discarded afterwards; the device is done with that too before the
        next thing is measured."""
        with self.log(below, ring_bytes, spare_bytes) as log:
            return self.measure(program, log, *arguments)

    def measure_peer(self, program: str, *arguments: str | int | Path) -> Values:
        """The same for a peer, which makes what it needs at the path that it is given."""
        path = self.new_path()
        try:
            return self.measure(f"peers/{program}", path, *arguments)
        finally:
            for left in path.parent.glob(f"{path.name}*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            os.sync()

    def fio_mb_s(self, depth: int, total: int) -> Values:
        """The device's own sequential synchronous write, in MB/s, several blocks of 1 MiB in
        flight: over a new file, as a log that grows must write, and over one that exists."""
        file = self.new_path()
        here = ("--name=floor", f"--filename={file}", f"--size={total}", f"--iodepth={depth}")
        values = {}
        for state in ("new", "old"):
            text = output_of(["fio", *here, *FIO_SETTINGS])
            job = json.loads(text[text.index("{") :])["jobs"][0]
            values[state] = float(job["write"]["bw_bytes"]) / 1e6
        file.unlink()
        os.sync()
        return values

    # ---- Logs ----

    @contextmanager
    def log(
        self, below: Path | None = None, ring_bytes: int = 0, spare_bytes: int = 0
    ) -> Iterator[Path]:
        """A path for a log, whose flusher and files are gone in the end."""
        path = self.new_path(below)
        sizes = (("--ring-bytes", ring_bytes), ("--spare-bytes", spare_bytes))
        given = [word for name, size in sizes if size for word in (name, str(size))]
        if given:
            output_of([self.build / "duralog", "create", path, *given])
        try:
            yield path
        except BaseException:
            self.discard(path, was_interrupted=True)
            raise
        self.note_sync_method(path)
        self.discard(path)
        os.sync()

    @contextmanager
    def memory_directory(self) -> Iterator[Path]:
        """A directory where no device waits: on tmpfs."""
        with tempfile.TemporaryDirectory(prefix="duralog-bench-", dir=TMPFS) as directory:
            yield Path(directory)

    def discard(self, log: Path, was_interrupted: bool = False) -> None:
        """Ends the log's flusher, which removes the ring, and then the log. A ring that was left
        without a flusher gets one first: nobody else would remove it."""
        if not log.exists():
            return
        duralog = self.build / "duralog"
        if was_interrupted:
            self.try_tool(duralog, "append", log)
        self.try_tool(duralog, "stop", log)
        shutil.rmtree(log, ignore_errors=was_interrupted)

    def try_tool(self, *words: str | Path) -> None:
        try:
            output_of(words, **self.environment())
        except Failure as failure:
            print(f"bench: {failure}", file=sys.stderr)

    def note_sync_method(self, log: Path) -> None:
        """The flusher tells in its own log file what its probe has chosen."""
        with suppress(FileNotFoundError):
            told = (log / "flusher.log").read_text()
            said = re.search(r", ([^,]*sync|[^,]*DSYNC)$", told, re.MULTILINE)
            self.sync_methods[said[1] if said else "?"] += 1

    def methods(self) -> str:
        """What the flushers have chosen since this was last asked; for a part's note."""
        chosen = ", ".join(f"{name} {count} times" for name, count in self.sync_methods.items())
        self.sync_methods.clear()
        return f"the flushers' probes chose {chosen}"
