# SPDX-License-Identifier: MIT
"""An ASGI application whose workers share one log.

    uvicorn --workers 4 uvicorn_app:app

However many requests wait for the disk at once, one thread of a worker waits for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import Any, Callable

from duralog import AsyncDuraLog

log = AsyncDuraLog("app.log")

Event = dict[str, Any]


async def app(
    scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    record = {"path": scope["path"], "pid": os.getpid()}
    lsn = await log.append(record, level="durable", timeout=30)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d\n" % lsn})
