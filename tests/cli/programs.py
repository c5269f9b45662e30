# SPDX-License-Identifier: MIT
"""What the tests of the command line share: running the programs that were built, finding what they
leave behind, and the library itself for what the command line refuses to do.

Knows the build directory (DURALOG_BUILD or B, else build), the programs' surface, and the names of
rings. Changes with those.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / (os.environ.get("DURALOG_BUILD") or os.environ.get("B") or "build")
HANG_S = 120  # what takes longer hangs; far beyond what any command needs on a busy machine

BYTES, TEXT, JSON = 1, 2, 3


def is_sanitized() -> bool:
    """Whether the library is a sanitizer's build, which only its own programs can use."""
    return b"libasan" in (BUILD / "libshmwal.so").read_bytes()


class Finished:
    """What a program did: its status, and what it printed."""

    def __init__(self, status: int, out: bytes | None, err: bytes) -> None:
        self.status = status
        self.bytes = out or b""
        self.out = self.bytes.decode(errors="surrogateescape")
        self.err = err.decode(errors="surrogateescape")

    def __repr__(self) -> str:
        return f"status {self.status}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The JSON objects that it printed, one a line."""
        return (json.loads(line) for line in self.bytes.splitlines())


class Cli:
    """Runs `duralog`, and checks what holds for every run of it."""

    program = str(BUILD / "duralog")

    def __call__(self, *arguments: object, stdin: bytes | str = b"", **options: Any) -> Finished:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [self.program, *map(str, arguments)],
            input=given,
            capture_output=True,
            timeout=HANG_S,
            **options,
        )
        finished = Finished(done.returncode, done.stdout, done.stderr)
        assert finished.status in (0, 1, 2), finished
        assert all(line.startswith("duralog: ") for line in finished.err.splitlines()), finished
        return finished

    def ok(self, *arguments: object, stdin: bytes | str = b"", **options: Any) -> Finished:
        finished = self(*arguments, stdin=stdin, **options)
        assert finished.status == 0, finished
        return finished

    def fails(self, *arguments: object, stdin: bytes | str = b"", **options: Any) -> str:
        """Its sentence, of a run that ends with status 1."""
        return self.sentence(1, self(*arguments, stdin=stdin, **options))

    def misused(self, *arguments: object, stdin: bytes | str = b"") -> str:
        """Its sentence, of a run that ends with status 2."""
        finished = self(*arguments, stdin=stdin)
        assert finished.bytes == b"", finished
        return self.sentence(2, finished)

    @staticmethod
    def sentence(status: int, finished: Finished) -> str:
        assert finished.status == status, finished
        assert finished.err.count("\n") == 1, finished
        return finished.err

    def append(self, log: Path, *lines: bytes | str, kind: str = "text") -> int:
        """Appends the lines, and returns the last one's LSN."""
        given = b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines)
        return int(self.ok("append", log, "--type", kind, stdin=given).out)

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )


def find_logs(directory: Path) -> list[Path]:
    return [meta.parent for meta in directory.rglob("meta") if meta.is_file()]


def find_rings(log: Path) -> list[Path]:
    """The shared memory of a log, which bears its UUID."""
    uuid = (log / "meta").read_bytes()[32:48].hex()
    return list(Path("/dev/shm").glob(f"*{uuid}*"))


def find_processes(directory: Path) -> list[int]:
    """Whoever bears the directory's name among its arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(directory) in command:
            found.append(int(entry.name))
    return found


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> Finished:
    """Signals a program and waits for its end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=HANG_S)
    return Finished(process.returncode, out, err)


# ---- The library, for what the command line does not do ------------------------------------------


class Handle:
    """A handle of the library, open in this process."""

    def __init__(self, library: ctypes.CDLL, log: Path) -> None:
        self.library = library
        self.pointer = ctypes.c_void_p()
        code = library.shmwal_open(os.fsencode(log), None, ctypes.byref(self.pointer))
        assert code == 0, library.shmwal_error()

    def append(self, data: bytes, kind: int) -> int:
        lsn = ctypes.c_uint64()
        code = self.library.shmwal_append_typed(
            self.pointer, data, ctypes.c_size_t(len(data)), kind, ctypes.byref(lsn)
        )
        assert code == 0, self.library.shmwal_error()
        return lsn.value

    def wait(self, lsn: int) -> None:
        code = self.library.shmwal_wait(
            self.pointer, ctypes.c_uint64(lsn), 1, ctypes.c_int64(HANG_S * 10**9)
        )
        assert code == 0, self.library.shmwal_error()

    def reserve(self, length: int) -> ctypes.Array[ctypes.c_char]:
        slot = ctypes.create_string_buffer(64)
        code = self.library.shmwal_reserve(self.pointer, ctypes.c_size_t(length), slot)
        assert code == 0, self.library.shmwal_error()
        return slot

    def discard(self, slot: ctypes.Array[ctypes.c_char]) -> None:
        assert self.library.shmwal_discard(self.pointer, slot) == 0, self.library.shmwal_error()

    def close(self) -> None:
        self.library.shmwal_close(self.pointer)
