# SPDX-License-Identifier: MIT
"""The exceptions, and the one place where a status code becomes one.

Knows the meaning of the library's negative errnos and nothing else of it. Changes when the library
learns a new kind of failure.
"""

from __future__ import annotations

import errno


class DuraLogError(Exception):
    """The base of all that this package raises, but `TypeError` for values of a wrong type.

    `appended` is how many records the failed call has put into the log all the same. `lsn` is the
    LSN to go on waiting for when all are there and only the level was not reached: after
    `append(record, level="durable", timeout=1)` has timed out, the record is committed;
    `wait(error.lsn)` waits on, where appending again would write it twice.
    """

    appended: int = 0
    lsn: int | None = None


class DuraLogConfigurationError(DuraLogError, ValueError):
    """An argument or an option has a value that cannot be used, or the library was not found."""


class DuraLogClosedError(DuraLogError, ValueError):
    """The handle was closed before the call, or by another thread during it."""


class DuraLogTooLargeError(DuraLogError, ValueError):
    """The record is larger than this log can ever take; see `ring_bytes`."""


class DuraLogCorruptionError(DuraLogError):
    """The log is damaged. The message names file and offset; `duralog verify` tells more."""


class DuraLogIOError(DuraLogError, OSError):
    """The system refused, or the device failed: `errno` says why, `filename` is the log's path."""

    def __str__(self) -> str:
        return str(self.strerror)


class DuraLogTimeoutError(DuraLogError, TimeoutError):
    """The time was over first; `errno` is ETIMEDOUT."""

    def __str__(self) -> str:
        return str(self.strerror)


_CLASSES: dict[int, type[DuraLogError]] = {
    errno.EINVAL: DuraLogConfigurationError,  # sizes, an LSN that no append has returned
    errno.ERANGE: DuraLogConfigurationError,  # from_lsn beyond the log's end
    errno.ENOTSUP: DuraLogConfigurationError,  # a level that nothing raises
    errno.EMSGSIZE: DuraLogTooLargeError,
    errno.EBADMSG: DuraLogCorruptionError,
    errno.EAGAIN: DuraLogTimeoutError,
    errno.ETIMEDOUT: DuraLogTimeoutError,
}


def error_from_status(status: int, sentence: str, path: str) -> DuraLogError:
    """The exception for a negative errno of the library and its sentence for it.

    ======================  ================================================================
    EINVAL ERANGE ENOTSUP   DuraLogConfigurationError
    EMSGSIZE                DuraLogTooLargeError
    EBADMSG                 DuraLogCorruptionError
    EAGAIN ETIMEDOUT        DuraLogTimeoutError, errno ETIMEDOUT
    any other               DuraLogIOError with that errno: ENOENT no log there, ENOTDIR a file
                            is there, ENOTEMPTY another kind of directory, EACCES not yours,
                            EPROTO an incompatible version, EIO the device failed, ESHUTDOWN
                            the flusher was told to stop, ENOSPC, ENOEXEC no flusher to start …
    ======================  ================================================================
    """
    kind = _CLASSES.get(-status, DuraLogIOError)
    if kind is DuraLogTimeoutError:
        return DuraLogTimeoutError(errno.ETIMEDOUT, sentence, path)
    if kind is DuraLogIOError:
        return DuraLogIOError(-status, sentence, path)
    return kind(sentence)
