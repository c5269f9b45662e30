# SPDX-License-Identifier: MIT
"""The exceptions, and the one place where a status code becomes one.

Knows the meaning of the library's negative errnos and what they are about, and nothing else of it.
Changes when the library learns a new kind of failure.

    DuraLogError
    ├── DuraLogConfigurationError (ValueError)
    ├── DuraLogClosedError        (ValueError)
    ├── DuraLogTooLargeError      (ValueError)
    ├── DuraLogCorruptionError
    ├── DuraLogTimeoutError       (TimeoutError)
    └── DuraLogIOError            (OSError)
        ├── DuraLogNotFoundError      (FileNotFoundError)
        ├── DuraLogNotALogError
        ├── DuraLogPermissionError    (PermissionError)
        ├── DuraLogReadOnlyError
        ├── DuraLogVersionError
        ├── DuraLogSharedMemoryError
        ├── DuraLogFlusherError
        ├── DuraLogStoppedError
        ├── DuraLogDeviceError
        ├── DuraLogNoSpaceError
        └── DuraLogResourceError
"""

from __future__ import annotations

import errno
import os

ABOUT_LOG, ABOUT_RING, ABOUT_FLUSHER = 0, 1, 2  # shmwal_subject


class DuraLogError(Exception):
    """The base of all that this package raises, but `TypeError` for values of a wrong type.

    `appended` is how many records the failed call has put into the log all the same. `lsn` is the
    LSN to go on waiting for when all are there and only the level was not reached: after
    `append(record, level="durable", timeout=1)` has timed out, the record is committed;
    `wait(error.lsn)` waits on, where appending again would write it twice.

    `message`, `file_path` and `original_error` are there for programs that were written for the
    earlier library, whose errors had them.
    """

    appended: int = 0
    lsn: int | None = None
    file_path: str | None = None
    original_error: Exception | None = None

    @property
    def message(self) -> str:
        return str(self)


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


class DuraLogNotFoundError(DuraLogIOError, FileNotFoundError):
    """There is no log at the path, and `create=False` was given or it is to be read."""


class DuraLogNotALogError(DuraLogIOError):
    """A file (ENOTDIR) or another kind of directory (ENOTEMPTY) is at the path. For a file of the
    earlier library the message has the command that brings it over."""


class DuraLogPermissionError(DuraLogIOError, PermissionError):
    """The log belongs to another user, or its directory may not be entered or written."""


class DuraLogReadOnlyError(DuraLogIOError):
    """The log lies on a file system that is mounted read-only."""


class DuraLogVersionError(DuraLogIOError):
    """The log was made by a version of this library that the installed one does not understand."""


class DuraLogSharedMemoryError(DuraLogIOError):
    """The ring cannot be had: /dev/shm is full, too small, missing, read-only, or has something of
    another user's in the ring's place. Or it was removed or truncated while it was in use (EIO):
    what is durable stands; close this log and open it again."""


class DuraLogFlusherError(DuraLogIOError):
    """No flusher can be started: the program is missing, cannot be executed, or ended at once."""


class DuraLogStoppedError(DuraLogIOError):
    """The flusher was told to stop (`duralog stop`, SIGTERM). Opening the log starts another, and
    handles that are open work again then."""


class DuraLogDeviceError(DuraLogIOError):
    """The device failed to write, sync or read; after a failed write the durable LSN stands still
    until a flusher is started anew."""


class DuraLogNoSpaceError(DuraLogIOError):
    """The disk, a quota or a limit on the size of files leaves no room to make or serve the log."""


class DuraLogResourceError(DuraLogIOError):
    """The process or the system has no more memory, descriptors, or handles on this log."""


class DuraLogTimeoutError(DuraLogError, TimeoutError):
    """The time was over first; `errno` is ETIMEDOUT."""

    def __str__(self) -> str:
        return str(self.strerror)


class MissingPathError(DuraLogConfigurationError, TypeError):
    """DuraLog() without a path: a TypeError, as for any missing argument, and what the earlier
    library raised."""


# Whatever it is about.
_CLASSES: dict[int, type[DuraLogError]] = {
    errno.EINVAL: DuraLogConfigurationError,  # sizes, an LSN that no append has returned
    errno.ERANGE: DuraLogConfigurationError,  # from_lsn beyond the log's end
    errno.ENOTSUP: DuraLogConfigurationError,  # a level that nothing raises
    errno.EMSGSIZE: DuraLogTooLargeError,
    errno.EBADMSG: DuraLogCorruptionError,
    errno.EAGAIN: DuraLogTimeoutError,
    errno.ETIMEDOUT: DuraLogTimeoutError,
    errno.ENOMEM: DuraLogResourceError,
    errno.EMFILE: DuraLogResourceError,
    errno.ENFILE: DuraLogResourceError,
    errno.EUSERS: DuraLogResourceError,
    errno.ENOLCK: DuraLogResourceError,
    errno.ESHUTDOWN: DuraLogStoppedError,
}

# About the log's directory and files.
_LOG_CLASSES: dict[int, type[DuraLogIOError]] = {
    errno.ENOENT: DuraLogNotFoundError,
    errno.ENOTDIR: DuraLogNotALogError,
    errno.ENOTEMPTY: DuraLogNotALogError,
    errno.EACCES: DuraLogPermissionError,
    errno.EPERM: DuraLogPermissionError,
    errno.EROFS: DuraLogReadOnlyError,
    errno.EPROTO: DuraLogVersionError,
    errno.EIO: DuraLogDeviceError,
    errno.ENOSPC: DuraLogNoSpaceError,
    errno.EDQUOT: DuraLogNoSpaceError,
    errno.EFBIG: DuraLogNoSpaceError,
}

_SUBJECT_CLASSES: dict[int, type[DuraLogIOError]] = {
    ABOUT_RING: DuraLogSharedMemoryError,
    ABOUT_FLUSHER: DuraLogFlusherError,
}


def _class_of(number: int, subject: int) -> type[DuraLogError]:
    return (
        _CLASSES.get(number)
        or _SUBJECT_CLASSES.get(subject)
        or _LOG_CLASSES.get(number, DuraLogIOError)
    )


def error_from_status(
    status: int, sentence: str, path: str, subject: int = ABOUT_LOG
) -> DuraLogError:
    """The exception for a negative errno of the library, its sentence for it, and what that is
    about. A DuraLogTimeoutError has ETIMEDOUT, a DuraLogIOError the errno itself."""
    kind = _class_of(-status, subject)
    error: DuraLogError
    if issubclass(kind, DuraLogTimeoutError):
        error = kind(errno.ETIMEDOUT, sentence, path)
    elif issubclass(kind, DuraLogIOError):
        error = kind(-status, sentence, path)
        error.original_error = OSError(-status, os.strerror(-status), path)
    else:
        error = kind(sentence)
    error.file_path = path
    return error
