# SPDX-License-Identifier: MIT
"""The main job, on this machine's own data, to be watched.

Eight processes append to one log, one of them is killed in the middle of it, and everything that
was acknowledged is found again, in order and unaltered. Exits with 1 if a single record is not.

Knows the Python package and, for the commands it suggests, the build directory; knows nothing of
the inside. Changes when what the product is for is better shown in another way.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "pyduralog"))

from duralog import DuraLog  # noqa: E402

WORKERS = 8
VICTIM = WORKERS  # the one that is killed, whatever it is doing,
WITNESS = 1  # at the moment when this one is halfway
RECORDS = 100_000  # that each of the others appends
SOURCE_BYTES_MAX = 16 << 20
START_TIMEOUT_S = 60.0

Item = dict[str, str] | str


# ---- What is appended ----------------------------------------------------------------------------


def read_packages() -> list[Item]:
    """The package database, a dict for each package."""
    try:
        text = Path("/var/lib/dpkg/status").read_text(errors="replace")
    except OSError:
        return []
    return [parse_paragraph(paragraph) for paragraph in text.split("\n\n") if paragraph.strip()]


def parse_paragraph(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in paragraph.splitlines():
        if line[0].isspace():
            fields[key] += "\n" + line.strip()
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def read_lines(paths: Iterator[Path]) -> list[Item]:
    """The lines of those of the files that are text and that we may read."""
    lines: list[Item] = []
    room = SOURCE_BYTES_MAX
    for path in paths:
        try:
            if path.stat().st_size > room:
                continue
            text = path.read_text()
        except (OSError, UnicodeDecodeError):
            continue
        room -= len(text)
        lines += [line for line in text.splitlines() if line.strip()]
    return lines


def gather() -> list[Item]:
    """This machine's data, mixed; where there is none, the checkout's."""
    packages = read_packages()
    lines = read_lines(path for path in Path("/var/log").rglob("*.log") if path.is_file())
    if packages or lines:
        print(f"data: {len(packages):,} packages of this machine, {len(lines):,} lines of its logs")
    else:
        lines = read_lines(path for path in ROOT.rglob("*.[ch]") if path.is_file())
        print(f"data: {len(lines):,} lines of this checkout")
    items = packages + lines
    random.Random(1).shuffle(items)
    return items


def record_of(worker: int, index: int, share: list[Item]) -> Any:
    """The worker's record number `index`: an item of its share that says whose it is."""
    item = share[index % len(share)]
    if isinstance(item, str):
        return f"{worker} {index} {item}"
    return {"worker": worker, "index": index, **item}


def owner_of(record: Any) -> tuple[int, int]:
    if isinstance(record, str):
        worker, index, _ = record.split(" ", 2)
        return int(worker), int(index)
    return record["worker"], record["index"]


# ---- The processes that append -------------------------------------------------------------------


class Board:
    """What the processes tell, in shared memory, so that it outlives them; each writes its own."""

    def __init__(self, context: Any) -> None:
        self.begun = context.RawArray("Q", WORKERS + 1)  # appends called
        self.acknowledged = context.RawArray("Q", WORKERS + 1)  # appends returned
        self.started_ns = context.RawArray("Q", WORKERS + 1)
        self.ended_ns = context.RawArray("Q", WORKERS + 1)
        self.durable_ns = context.RawArray("Q", WORKERS + 1)
        self.start = context.Barrier(WORKERS)


def work(worker: int, path: str, share: list[Item], board: Board, halfway: Connection) -> None:
    """Appends the records, or for ever if it is the one to be killed."""
    with DuraLog(path) as log:
        board.start.wait(START_TIMEOUT_S)
        board.started_ns[worker] = time.monotonic_ns()
        index = 0
        while index < RECORDS or worker == VICTIM:
            if index == RECORDS // 2 and worker == WITNESS:
                halfway.send_bytes(b"now")
            record = record_of(worker, index, share)
            index += 1
            board.begun[worker] = index
            log.append(record)
            board.acknowledged[worker] = index
        board.ended_ns[worker] = time.monotonic_ns()
        log.sync()
        board.durable_ns[worker] = time.monotonic_ns()


# ---- Watching them -------------------------------------------------------------------------------


class Progress:
    """Two bars on a terminal, redrawn in place; in a pipe nothing, for the result says it all."""

    def __init__(self) -> None:
        self.shown = sys.stdout.isatty()

    def draw(self, board: Board, log: DuraLog | None) -> None:
        if not self.shown:
            return
        appended = sum(min(count, RECORDS) for count in board.acknowledged) / (WORKERS * RECORDS)
        durable = 0.0
        if log is not None and log.committed_lsn:
            durable = appended * log.durable_lsn / log.committed_lsn
        print(f"\r  appended {bar(appended)}   durable {bar(durable)} ", end="", flush=True)

    def end(self) -> None:
        if self.shown:
            print("\r\033[K", end="")


def bar(part: float, width: int = 24) -> str:
    filled = min(width, round(part * width))
    return "█" * filled + "░" * (width - filled) + f" {part:4.0%}"


def run_workers(path: Path, shares: list[list[Item]], board: Board, context: Any) -> bool:
    """Starts them, kills one in the middle, and waits for the others; whether all went as meant."""
    hear, tell = context.Pipe(duplex=False)
    processes = [
        context.Process(
            target=work, args=(worker, str(path), shares[worker - 1], board, tell), daemon=True
        )
        for worker in range(1, WORKERS + 1)
    ]
    for process in processes:
        process.start()
    victim = processes[VICTIM - 1]
    progress = Progress()
    log: DuraLog | None = None
    waiting: dict[Any, Callable[[], None]] = {hear: victim.kill}
    waiting.update((process.sentinel, process.join) for process in processes)
    while waiting:
        for event in wait(list(waiting), timeout=0.1 if progress.shown else None):
            waiting.pop(event)()
            if event == victim.sentinel:
                waiting.pop(hear, None)
        if log is None and any(board.acknowledged):
            log = DuraLog(path)
        progress.draw(board, log)
    progress.end()
    if log is not None:
        log.close()
    meant = [0] * WORKERS
    meant[VICTIM - 1] = -signal.SIGKILL
    return [process.exitcode for process in processes] == meant


# ---- Looking for what they appended --------------------------------------------------------------


def check(log: DuraLog, shares: list[list[Item]]) -> tuple[list[int], list[str]]:
    """How many records of each process were found, each compared with its source; what is wrong."""
    found = [0] * (WORKERS + 1)
    wrong: list[str] = []
    for record in log.replay():
        worker, index = owner_of(record)
        if index != found[worker]:
            wrong.append(f"process {worker}: record {index} where {found[worker]} was next")
        elif record != record_of(worker, index, shares[worker - 1]):
            wrong.append(f"process {worker}: record {index} is not what was appended")
        found[worker] = index + 1
    return found, wrong


def compare(board: Board, found: list[int]) -> list[str]:
    wrong = []
    for worker in range(1, WORKERS + 1):
        least, most = board.acknowledged[worker], board.begun[worker]
        if not least <= found[worker] <= most:
            wrong.append(f"process {worker}: {found[worker]} found, {least} were acknowledged")
    return wrong


def report(board: Board, found: list[int]) -> None:
    print("  process    appended  acknowledged       found")
    for worker in range(1, WORKERS + 1):
        fate = "  killed in the middle (SIGKILL)" if worker == VICTIM else ""
        print(
            f"  {worker:7}{board.begun[worker]:12,}{board.acknowledged[worker]:14,}"
            f"{found[worker]:12,}{fate}"
        )


def report_times(board: Board, log: DuraLog, replay_s: float) -> None:
    span_ns = max(board.ended_ns) - min(board.started_ns[1:])
    sync_ms = (max(board.durable_ns) - max(board.ended_ns)) / 1e6
    count = sum(board.acknowledged)
    megabytes = log.durable_lsn / 1e6
    print(f"appended  {count:,} records, {megabytes:,.0f} MB, in {span_ns / 1e9:.2f} s:", end=" ")
    print(f"{count / span_ns * 1e9:,.0f} records/s, {megabytes / span_ns * 1e9:,.0f} MB/s")
    print(f"durable   {sync_ms:,.1f} ms after the last append")
    print(f"replayed  and compared in {replay_s:.2f} s")


def report_next(build: Path | str, path: Path | str) -> None:
    build, path, package = map(os.path.relpath, (build, path, ROOT / "pyduralog"))
    script = f"import duralog; print(next(iter(duralog.DuraLog('{path}').replay())))"
    print(f"The log is the directory {path}; a rerun begins it afresh. To try next:")
    print(f"  {build}/duralog status {path}")
    print(f"  {build}/duralog cat --json {path} | head -n 3")
    print(f'  PYTHONPATH={package} python3 -c "{script}"')


# ---- The whole -----------------------------------------------------------------------------------


def start_afresh(build: Path, path: Path) -> None:
    """Removes what an earlier run left; its flusher first, which may be about to end by itself."""
    if path.exists():
        subprocess.run([build / "duralog", "stop", path], check=False, capture_output=True)
        shutil.rmtree(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where the binaries are")
    parser.add_argument("--log", type=Path, help="where to put the log (BUILD/quickstart/log)")
    options = parser.parse_args()
    build = options.build.resolve()
    path = options.log or build / "quickstart" / "log"
    os.environ.setdefault("DURALOG_LIBRARY", str(build / "libshmwal.so"))
    os.environ.setdefault("DURALOG_FLUSHER", str(build / "duralog-flusher"))
    start_afresh(build, path)

    items = gather()
    shares = [items[worker::WORKERS] for worker in range(WORKERS)]
    print(f"{WORKERS} processes open {os.path.relpath(path)} and append to it; one will be killed")
    context = multiprocessing.get_context("spawn")
    board = Board(context)
    as_meant = run_workers(path, shares, board, context)

    with DuraLog(path) as log:
        log.sync()
        before = time.monotonic()
        found, wrong = check(log, shares)
        after = time.monotonic()
        report(board, found)
        report_times(board, log, after - before)
    wrong += compare(board, found)
    if not as_meant:
        wrong.append("a process ended otherwise than it was meant to")
    for sentence in wrong[:10]:
        print(f"WRONG: {sentence}", file=sys.stderr)
    if wrong:
        return 1
    print("All that was acknowledged is there, unaltered and in order.")
    report_next(build, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
