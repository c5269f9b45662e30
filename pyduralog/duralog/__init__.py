# SPDX-License-Identifier: MIT
"""DuraLog: a write-ahead log that the processes of one machine share.

    from duralog import DuraLog

    with DuraLog("app.log") as log:
        lsn = log.append({"event": "login"})   # survives the death of every process
        log.wait(lsn)                          # survives a power loss
        for record in log.replay():
            print(record)

This package calls libshmwal through ctypes, and does nothing at import. Each module's head says
what it is for, whom it knows, and what may change it; all that is public stands here.
"""

from typing import TYPE_CHECKING, Any

from ._arguments import Level
from ._codec import Codec, Record
from ._errors import (
    DuraLogClosedError,
    DuraLogConfigurationError,
    DuraLogCorruptionError,
    DuraLogDeviceError,
    DuraLogError,
    DuraLogFlusherError,
    DuraLogIOError,
    DuraLogNoSpaceError,
    DuraLogNotALogError,
    DuraLogNotFoundError,
    DuraLogPermissionError,
    DuraLogReadOnlyError,
    DuraLogResourceError,
    DuraLogSharedMemoryError,
    DuraLogStoppedError,
    DuraLogTimeoutError,
    DuraLogTooLargeError,
    DuraLogVersionError,
)
from ._log import DuraLog

if TYPE_CHECKING:
    from ._asyncio import AsyncDuraLog
    from ._logging import DuraLogHandler

__version__ = "1.0.0"

__all__ = [
    "AsyncDuraLog",
    "Codec",
    "DuraLog",
    "DuraLogClosedError",
    "DuraLogConfigurationError",
    "DuraLogCorruptionError",
    "DuraLogDeviceError",
    "DuraLogError",
    "DuraLogFlusherError",
    "DuraLogHandler",
    "DuraLogIOError",
    "DuraLogNoSpaceError",
    "DuraLogNotALogError",
    "DuraLogNotFoundError",
    "DuraLogPermissionError",
    "DuraLogReadOnlyError",
    "DuraLogResourceError",
    "DuraLogSharedMemoryError",
    "DuraLogStoppedError",
    "DuraLogTimeoutError",
    "DuraLogTooLargeError",
    "DuraLogVersionError",
    "Level",
    "Record",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """What needs modules that take longer to import than all of this comes when it is asked for."""
    if name == "AsyncDuraLog":
        from ._asyncio import AsyncDuraLog

        return AsyncDuraLog
    if name == "DuraLogHandler":
        from ._logging import DuraLogHandler

        return DuraLogHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
