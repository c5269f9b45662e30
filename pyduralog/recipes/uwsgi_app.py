# SPDX-License-Identifier: MIT
"""The same for uWSGI: an application whose workers share one log.

    uwsgi --master --processes 4 --http-socket 127.0.0.1:8000 --module uwsgi_app
    uwsgi --master --processes 4 --http-socket 127.0.0.1:8000 --module uwsgi_app --lazy-apps

Without --lazy-apps the log is opened before uWSGI forks, with it in each worker; both will do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from duralog import DuraLog

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = DuraLog("app.log")


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    record = {"path": environ["PATH_INFO"], "pid": os.getpid()}
    lsn = log.append(record, level="durable", timeout=30)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d\n" % lsn]
