# SPDX-License-Identifier: MIT
"""A pool of processes that share one log, started in any way: fork, spawn or forkserver.

python pool_app.py
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor

from duralog import DuraLog

log = DuraLog("app.log")


def work(number: int) -> int:
    """The LSN of its record, once that is on the disk."""
    return log.append({"number": number, "pid": os.getpid()}, level="durable", timeout=30)


def main() -> None:
    with ProcessPoolExecutor(4) as pool:
        for lsn in pool.map(work, range(1000)):
            print(lsn)


if __name__ == "__main__":
    main()
