# SPDX-License-Identifier: MIT
"""What is raised when, and that log and process stay usable. Knows the package and its _errors."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import duralog
import pytest
from conftest import stop
from duralog import (
    DuraLog,
    DuraLogClosedError,
    DuraLogConfigurationError,
    DuraLogCorruptionError,
    DuraLogError,
    DuraLogIOError,
    DuraLogTimeoutError,
    DuraLogTooLargeError,
    _errors,
)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (DuraLogConfigurationError, ValueError),
        (DuraLogCorruptionError, Exception),
        (DuraLogIOError, OSError),
        (DuraLogTimeoutError, TimeoutError),
        (DuraLogClosedError, ValueError),
        (DuraLogTooLargeError, ValueError),
        *(
            (kind, OSError)
            for kind in (
                *(duralog.DuraLogNotALogError, duralog.DuraLogReadOnlyError),
                *(duralog.DuraLogVersionError, duralog.DuraLogSharedMemoryError),
                *(duralog.DuraLogFlusherError, duralog.DuraLogStoppedError),
                *(duralog.DuraLogDeviceError, duralog.DuraLogNoSpaceError),
                duralog.DuraLogResourceError,
            )
        ),
        (duralog.DuraLogNotFoundError, FileNotFoundError),
        (duralog.DuraLogPermissionError, PermissionError),
    ],
)
def test_every_error_is_a_duralog_error_and_a_builtin(kind: type, builtin: type) -> None:
    assert issubclass(kind, DuraLogError)
    assert issubclass(kind, builtin)
    assert kind.__name__ in duralog.__all__


def kind_of(number: int, subject: int) -> type:
    error = _errors.error_from_status(-number, "the sentence", "/the/path", subject)
    assert str(error) == error.message == "the sentence"
    assert error.file_path == "/the/path"
    if isinstance(error, DuraLogIOError):
        assert (error.errno, error.filename) == (number, "/the/path")
        assert isinstance(error.original_error, OSError)
        assert error.original_error.errno == number
    return type(error)


ALWAYS = {
    errno.EINVAL: DuraLogConfigurationError,
    errno.ERANGE: DuraLogConfigurationError,
    errno.ENOTSUP: DuraLogConfigurationError,
    errno.EMSGSIZE: DuraLogTooLargeError,
    errno.EBADMSG: DuraLogCorruptionError,
    errno.EAGAIN: DuraLogTimeoutError,
    errno.ETIMEDOUT: DuraLogTimeoutError,
    errno.ENOMEM: duralog.DuraLogResourceError,
    errno.EMFILE: duralog.DuraLogResourceError,
    errno.ENFILE: duralog.DuraLogResourceError,
    errno.EUSERS: duralog.DuraLogResourceError,
    errno.ENOLCK: duralog.DuraLogResourceError,
    errno.ESHUTDOWN: duralog.DuraLogStoppedError,
}
OF_THE_LOG = {
    errno.ENOENT: duralog.DuraLogNotFoundError,
    errno.ENOTDIR: duralog.DuraLogNotALogError,
    errno.ENOTEMPTY: duralog.DuraLogNotALogError,
    errno.EACCES: duralog.DuraLogPermissionError,
    errno.EPERM: duralog.DuraLogPermissionError,
    errno.EROFS: duralog.DuraLogReadOnlyError,
    errno.EPROTO: duralog.DuraLogVersionError,
    errno.EIO: duralog.DuraLogDeviceError,
    errno.ENOSPC: duralog.DuraLogNoSpaceError,
    errno.EDQUOT: duralog.DuraLogNoSpaceError,
    errno.EFBIG: duralog.DuraLogNoSpaceError,
}


def test_every_status_has_its_class() -> None:
    ring, flusher = duralog.DuraLogSharedMemoryError, duralog.DuraLogFlusherError
    for number in errno.errorcode:
        of_the_log = OF_THE_LOG.get(number, DuraLogIOError)
        assert kind_of(number, _errors.ABOUT_LOG) is ALWAYS.get(number, of_the_log)
        assert kind_of(number, _errors.ABOUT_RING) is ALWAYS.get(number, ring)
        assert kind_of(number, _errors.ABOUT_FLUSHER) is ALWAYS.get(number, flusher)


def test_every_error_survives_pickling() -> None:
    for number in errno.errorcode:
        error = _errors.error_from_status(-number, "the sentence", "/the/path")
        error.appended, error.lsn = 2, 64
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), again.file_path, again.lsn) == ("the sentence", "/the/path", 64)
        assert getattr(again, "errno", None) == getattr(error, "errno", None)


def fails_with(number: int, path: Path, sentence: str, **options: Any) -> None:
    with pytest.raises(DuraLogIOError, match=sentence) as caught:
        DuraLog(path, **options)
    assert caught.value.errno == number
    assert caught.value.filename == str(path)


def test_no_log_there_and_none_to_be_made(path: Path) -> None:
    fails_with(errno.ENOENT, path, str(path), create=False)
    assert not path.exists()


def test_a_file_is_there(path: Path) -> None:
    path.write_text("a file")
    fails_with(errno.ENOTDIR, path, str(path))
    assert path.read_text() == "a file"


def test_another_kind_of_directory_is_there(path: Path) -> None:
    path.mkdir()
    (path / "photos").write_text("mine")
    fails_with(errno.ENOTEMPTY, path, str(path))
    assert os.listdir(path) == ["photos"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a log away")
def test_somebody_else_s_log_is_refused(path: Path) -> None:
    DuraLog(path).close()
    stop(path)
    os.chown(path, 12345, 12345)
    fails_with(errno.EACCES, path, str(path))
    os.chown(path, 0, 0)


def test_a_parent_that_is_a_file(place: Path) -> None:
    (place / "file").write_text("")
    fails_with(errno.ENOTDIR, place / "file" / "app.log", "file")


def test_no_flusher_to_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURALOG_FLUSHER", "/nowhere/duralog-flusher")
    fails_with(errno.ENOEXEC, path, "/nowhere/duralog-flusher")
    monkeypatch.undo()
    with DuraLog(path) as log:
        log.append("works now", level="durable", timeout=60)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ring_bytes": 0}, "ring_bytes=0"),
        ({"ring_bytes": -1}, "ring_bytes=-1"),
        ({"ring_bytes": 1 << 64}, "ring_bytes="),
        ({"ring_bytes": 1 << 40}, "ring"),
        ({"segment_bytes": 0}, "segment_bytes=0"),
        ({"segment_bytes": 1 << 40}, "segment"),
        ({"spare_bytes": -1}, "spare_bytes=-1"),
        ({"spare_bytes": 1 << 40}, "spare files"),
        ({"max_queue_size": 0}, "max_queue_size=0"),
        ({"max_queue_size": -5}, "max_queue_size=-5"),
        ({"max_queue_size": 1 << 60}, "max_queue_size="),
        ({"commit_interval_seconds": -1}, "commit_interval_seconds=-1"),
        ({"commit_interval_seconds": float("nan")}, "commit_interval_seconds=nan"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DuraLogConfigurationError, match=sentence):
        DuraLog(path, **options)
    assert not path.exists()


@pytest.mark.parametrize(
    "name",
    ["ring_bytes", "segment_bytes", "spare_bytes", "max_queue_size", "commit_interval_seconds"],
)
def test_a_value_of_another_type_is_refused_by_name(path: Path, name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} is a"):
        DuraLog(path, **{name: "1"})
    assert not path.exists()


@pytest.mark.parametrize("wrong", ["", b"", "a\0b"])
def test_a_path_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(DuraLogConfigurationError, match="path="):
        DuraLog(wrong)


def test_one_path_is_needed(path: Path) -> None:
    for arguments in ({}, {"path": path, "file_path": path}, {"path": 1}):
        with pytest.raises(TypeError):
            DuraLog(**arguments)  # type: ignore[arg-type]


def test_a_record_larger_than_the_ring_takes_is_refused(path: Path) -> None:
    with DuraLog(path, ring_bytes=1 << 16) as log:
        for level in ("committed", "durable"):
            with pytest.raises(DuraLogTooLargeError, match="ring_bytes"):
                log.append(b"x" * (1 << 16), level=level)  # type: ignore[arg-type]
        log.append("small")
        assert list(log.replay()) == ["small"]


def test_a_stopped_flusher_is_told_of_and_an_open_replaces_it(log: DuraLog) -> None:
    log.append("before")
    stop(Path(log.path))
    for call in (lambda: log.append("never"), lambda: log.append_many(["never"])):
        with pytest.raises(DuraLogIOError) as caught:
            call()
        assert caught.value.errno == errno.ESHUTDOWN
    with DuraLog(log.path):
        log.append("after", level="durable", timeout=60)
        assert list(log.replay()) == ["before", "after"]


def test_damage_before_the_durable_point_is_named(path: Path) -> None:
    with DuraLog(path) as log:
        for text in ("one", "two", "three"):
            log.append(text, level="durable", timeout=60)
    stop(path)
    [segment] = path.glob("segments/*.seg")
    content = segment.read_bytes()
    place = content.index(b"two")
    with open(segment, "r+b") as file:
        file.seek(place)
        file.write(b"TWO")
    with pytest.raises(DuraLogCorruptionError, match=segment.name):
        DuraLog(path)
    with open(segment, "r+b") as file:
        file.seek(place)
        file.write(b"two")
    with DuraLog(path) as log:
        assert list(log.replay()) == ["one", "two", "three"]
