# SPDX-License-Identifier: MIT
"""The earlier library's way of logging, made anew for comparison: one process, pure Python.

Appending puts a record into a queue of bounded length; one thread takes what is there, a batch at a
time, makes JSON of it, and writes each payload behind a little-endian header: its length (32 bits),
its type (8 bits, 1 JSON, 2 text) and its CRC-32 (32 bits). The file is synced once an interval, and
on closing. To replay, other processes check and decode what one has read, and hand it back.

Knows nobody. Changes never: it is what the earlier library was.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

HEADER = struct.Struct("<IBI")
JSON, TEXT = 1, 2
BATCH = 1000


class EarlierLog:
    def __init__(
        self, path: Path, commit_interval_seconds: float = 1.0, max_queue_size: int = 100_000
    ) -> None:
        self._file = open(path, "ab")  # noqa: SIM115  # closed by close()
        self._interval = commit_interval_seconds
        self._queue: queue.Queue[Any] = queue.Queue(max_queue_size)
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def append(self, record: dict[str, Any] | str) -> None:
        self._queue.put(record)

    def close(self) -> None:
        """Returns when everything is on the disk."""
        self._queue.put(None)
        self._worker.join()
        self._file.close()

    def _work(self) -> None:
        due = time.monotonic() + self._interval
        open_still = True
        while open_still:
            open_still = self._write(self._take(due))
            if not open_still or time.monotonic() >= due:
                self._file.flush()
                os.fsync(self._file.fileno())
                due = time.monotonic() + self._interval

    def _take(self, due: float) -> list[Any]:
        """At least one record, unless none comes in time, and as many more as are there."""
        batch = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._queue.get(timeout=max(0.0, due - time.monotonic())))
            while len(batch) < BATCH:
                batch.append(self._queue.get_nowait())
        return batch

    def _write(self, batch: list[Any]) -> bool:
        """False at the end."""
        parts: list[bytes] = []
        for record in batch:
            if record is None:
                break
            kind = TEXT if isinstance(record, str) else JSON
            payload = record.encode() if kind == TEXT else orjson.dumps(record)
            parts += [HEADER.pack(len(payload), kind, zlib.crc32(payload)), payload]
        self._file.write(b"".join(parts))
        return not batch or batch[-1] is not None


def replay(path: Path, processes: int) -> Iterator[Any]:
    """One process reads; others check and decode a batch at a time, and send the records back."""
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for records in pool.imap(decode, read(path)):
            yield from records


def read(path: Path) -> Iterator[list[tuple[int, int, bytes]]]:
    batch = []
    with open(path, "rb") as file:
        while header := file.read(HEADER.size):
            length, kind, checksum = HEADER.unpack(header)
            batch.append((kind, checksum, file.read(length)))
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


def decode(batch: list[tuple[int, int, bytes]]) -> list[Any]:
    records: list[Any] = []
    for kind, checksum, payload in batch:
        if zlib.crc32(payload) != checksum:
            raise ValueError("a record is damaged")
        records.append(orjson.loads(payload) if kind == JSON else payload.decode())
    return records
