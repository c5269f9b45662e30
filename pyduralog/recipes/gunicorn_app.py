# SPDX-License-Identifier: MIT
"""A WSGI application whose workers share one log.

    gunicorn --workers 4 gunicorn_app:app
    gunicorn --workers 4 --preload gunicorn_app:app

Each request is answered when its record is on the disk. There is nothing to do after a fork, in
either way, and no hook. A worker that is killed or recycled loses no record that was answered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from duralog import DuraLog

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = DuraLog("app.log")


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    record = {"path": environ["PATH_INFO"], "pid": os.getpid()}
    lsn = log.append(record, level="durable", timeout=30)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d\n" % lsn]
