# SPDX-License-Identifier: MIT
"""Where the benchmark programs run: builds them, runs them, and removes the logs that they made.

Knows the Makefiles and the command line tools. Changes when a tool's arguments do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
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
        self.has_fio = False
        self.sync_methods: Counter[str] = Counter()  # how often a flusher chose which

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
        with suppress(OSError):
            self.directory.parent.rmdir()  # unless somebody else uses it

    # ---- Setting up ----

    def set_up(self) -> None:
        """Builds; the packages that only the floors need may be missing."""
        self.has_fio = install("fio", lambda: shutil.which("fio") is not None)
        install("libisal-dev", lambda: Path("/usr/include/isa-l/crc.h").exists())
        build = self.build.relative_to(ROOT) if ROOT in self.build.parents else self.build
        jobs = f"-j{os.cpu_count() or 2}"
        output_of(["make", "-s", jobs, f"B={build}", "all"])
        output_of(["make", "-s", jobs, "-f", "bench/Makefile", f"B={build}"])

    # ---- Running ----

    def discard(self, log: Path, was_interrupted: bool = False) -> None:
        """Ends the log's flusher, which removes the ring, and then the log. A ring that was left
        without a flusher gets one first: nobody else would remove it."""
        duralog = self.build / "duralog"
        if was_interrupted:
            self.try_tool(duralog, "append", log)
        self.try_tool(duralog, "stop", log)
        shutil.rmtree(log, ignore_errors=was_interrupted)

    def try_tool(self, *words: str | Path) -> None:
        try:
            output_of(words, DURALOG_FLUSHER=str(self.build / "duralog-flusher"))
        except Failure as failure:
            print(f"bench: {failure}", file=sys.stderr)

    def measure(self, program: str, *arguments: str | int | Path) -> Values:
        """What the program has measured: its lines of name and value."""
        words = [str(self.build / "bench" / program), *map(str, arguments)]
        text = output_of(words, DURALOG_FLUSHER=str(self.build / "duralog-flusher"))
        pairs = (line.split() for line in text.splitlines())
        return {name: float(value) for name, value in pairs}

    def measure_log(
        self, program: str, *arguments: str | int | Path, below: Path | None = None
    ) -> Values:
        """The same on a new log, discarded afterwards; the device is done with that too before the
        next thing is measured."""
        log = (below or self.directory) / f"log-{os.getpid()}"
        try:
            values = self.measure(program, log, *arguments)
        except BaseException:
            self.discard(log, was_interrupted=True)
            raise
        self.note_sync_method(log)
        self.discard(log)
        os.sync()
        return values

    def note_sync_method(self, log: Path) -> None:
        """The flusher tells in its own log file what its probe has chosen."""
        said = re.search(
            r", ([^,]*sync|[^,]*DSYNC)$", (log / "flusher.log").read_text(), re.MULTILINE
        )
        self.sync_methods[said[1] if said else "?"] += 1

    def fio_mb_s(self, depth: int, total: int) -> Values:
        """The device's own sequential synchronous write, in MB/s, several blocks of 1 MiB in
        flight: over a new file, as a log that grows must write, and over one that exists."""
        file = self.directory / "fio.data"
        here = ("--name=floor", f"--filename={file}", f"--size={total}", f"--iodepth={depth}")
        values = {}
        for state in ("new", "old"):
            text = output_of(["fio", *here, *FIO_SETTINGS])
            job = json.loads(text[text.index("{") :])["jobs"][0]
            values[state] = float(job["write"]["bw_bytes"]) / 1e6
        file.unlink()
        return values


def install(package: str, is_there: Callable[[], bool]) -> bool:
    """Whether the package is there in the end."""
    if is_there():
        return True
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (root and shutil.which("sudo") is None):
        print(f"bench: no {package}: a floor will be missing; install it", file=sys.stderr)
        return False
    print(f"bench: installing {package} with apt-get", file=sys.stderr)
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]
    lock = ["-o", "DPkg::Lock::Timeout=300"]
    try:
        output_of([*apt, *lock, "install", "--no-install-recommends", package])
    except Failure as failure:
        print(f"bench: {failure}\nbench: a floor will be missing", file=sys.stderr)
    return is_there()
