# SPDX-License-Identifier: MIT
"""Celery tasks whose workers share one log.

    mkdir broker results
    celery --app celery_app worker --pool prefork --concurrency 4

The log is opened before the pool forks; each of its processes goes on with it.
"""

from __future__ import annotations

import os

from celery import Celery
from duralog import DuraLog

app = Celery("celery_app", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = {
    "data_folder_in": "broker",
    "data_folder_out": "broker",
    "control_folder": "broker",
}

log = DuraLog("app.log")


@app.task
def record(number: int) -> int:
    """The LSN of its record, once that is on the disk."""
    return log.append({"number": number, "pid": os.getpid()}, level="durable", timeout=30)
