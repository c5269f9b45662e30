# SPDX-License-Identifier: MIT
"""Programs written for the earlier library of this name: its calls, its exceptions, its options.

What that library did is known from its source: one file, a queue, a thread that writes every
commit_interval_seconds. Knows the public package, and the bytes of a frame's header
(src/format/format.h) to count frames by.
"""

from __future__ import annotations

import json
import struct
import threading
import time
import zlib
from pathlib import Path

import duralog
import pytest
from conftest import stop
from duralog import DuraLog, DuraLogConfigurationError, DuraLogError, DuraLogIOError, exceptions

FRAME_MAGIC = b"DLframe1"


def test_the_whole_of_its_interface(path: Path) -> None:
    log = DuraLog(file_path=str(path), commit_interval_seconds=1, max_queue_size=100_000)
    log.append({"event": "login", "user": 17})
    log.append(data="a line of text")
    log.close()
    log = DuraLog(file_path=str(path))
    log.append({"event": "logout"})
    log.close()
    log.close()
    assert list(DuraLog(file_path=str(path)).replay()) == [
        *({"event": "login", "user": 17}, "a line of text", {"event": "logout"}),
    ]
    assert duralog.__version__


def test_replay_goes_on_after_close(path: Path) -> None:
    log = DuraLog(file_path=str(path))
    log.append("record")
    log.close()
    assert list(log.replay()) == ["record"]
    stop(path)
    assert list(log.replay()) == ["record"]
    assert list(log.replay(with_lsn=True)) == [(64, "record")]
    with pytest.raises(DuraLogConfigurationError):
        log.replay(from_lsn=128)


def test_its_workload_of_threads(path: Path) -> None:
    log = DuraLog(file_path=str(path), commit_interval_seconds=1)

    def work(thread: int) -> None:
        for number in range(500):
            log.append({"thread": thread, "number": number})

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    records = list(DuraLog(file_path=str(path)).replay())
    for thread in range(8):
        numbers = [record["number"] for record in records if record["thread"] == thread]
        assert numbers == list(range(500))


def test_the_path_under_its_name(path: Path) -> None:
    with DuraLog(file_path=path / ".." / "app.log") as log:
        assert log.file_path == path
        assert log.file_path.parent == path.parent


def test_two_of_one_path_may_each_be_closed(path: Path) -> None:
    """There it was one object."""
    first, second = DuraLog(file_path=str(path)), DuraLog(file_path=str(path))
    first.append("first")
    first.close()
    second.append("second")
    second.close()
    assert list(second.replay()) == ["first", "second"]


# ---- Its exceptions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["DuraLogError", "DuraLogConfigurationError", "DuraLogCorruptionError", "DuraLogIOError"],
)
def test_its_exceptions_are_where_they_were(name: str) -> None:
    assert getattr(exceptions, name) is getattr(duralog, name)


def test_no_path_is_its_configuration_error() -> None:
    with pytest.raises(DuraLogConfigurationError, match="path") as caught:
        DuraLog()
    assert "file_path" in caught.value.message
    assert isinstance(caught.value, TypeError)


def test_an_io_error_says_what_its_did(place: Path) -> None:
    (place / "file").write_text("mine")
    with pytest.raises(DuraLogIOError) as caught:
        DuraLog(file_path=str(place / "file" / "app.log"))
    assert caught.value.file_path == str(place / "file" / "app.log")
    assert caught.value.message == str(caught.value)
    assert isinstance(caught.value.original_error, OSError)
    assert isinstance(caught.value, DuraLogError)


def earlier_file(*values: dict[str, object] | str) -> bytes:
    content = b""
    for value in values:
        text = isinstance(value, str)
        payload = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        content += struct.pack("<IBI", len(payload), 2 if text else 1, zlib.crc32(payload))
        content += payload
    return content


def test_its_log_file_is_refused_with_the_command_that_brings_it_over(path: Path) -> None:
    content = earlier_file({"event": "login"}, "text")
    path.write_bytes(content)
    with pytest.raises(duralog.DuraLogNotALogError) as caught:
        DuraLog(file_path=str(path))
    assert f"mv '{path}' '{path}.old' && duralog import '{path}.old' '{path}'" in str(caught.value)
    assert path.read_bytes() == content


# ---- Its options ---------------------------------------------------------------------------------


def frames(path: Path) -> int:
    """That hold records, in the order of their bytes."""
    return sum(file.read_bytes().count(FRAME_MAGIC) for file in path.glob("segments/*.seg"))


@pytest.mark.parametrize("queue", [1, 1000, 50_000])
def test_max_queue_size_records_of_ordinary_size_fit(path: Path, queue: int) -> None:
    """Without a flusher, which would make room."""
    with DuraLog(path, max_queue_size=queue, flusher=False) as log:
        for _ in range(queue):
            log.append(b"x" * 256, timeout=0)


def test_ring_bytes_goes_before_max_queue_size(path: Path) -> None:
    log = DuraLog(path, max_queue_size=100_000, ring_bytes=1 << 16, flusher=False)
    with pytest.raises(duralog.DuraLogTimeoutError, match="65536 bytes"):
        log.append_many((b"x" * 256 for _ in range(1000)), timeout=0)


def test_the_flusher_gathers_for_the_interval_while_nobody_waits(path: Path) -> None:
    """Records that come at a slow pace share one frame; without an interval each has its own."""
    with DuraLog(path) as log:
        before = frames(path)
        for number in range(10):
            log.wait(log.append({"number": number}))
        assert frames(path) >= before + 10
    with DuraLog(path, commit_interval_seconds=3600) as log:
        log.sync()
        before, durable = frames(path), log.durable_lsn
        for number in range(10):
            log.append({"number": number})
            time.sleep(0.01)  # as long as many a sync takes
        assert log.durable_lsn == durable
        log.sync()  # whoever waits is not made to
        assert frames(path) <= before + 2  # the records, and the seal of an idle moment
        assert log.durable_lsn == log.committed_lsn


def test_of_several_handles_the_smallest_interval_holds(path: Path) -> None:
    with DuraLog(path, commit_interval_seconds=3600) as patient:
        patient.sync()
        durable = patient.durable_lsn
        lsn = patient.append("waits")
        time.sleep(0.05)
        assert patient.durable_lsn == durable
        with DuraLog(path, commit_interval_seconds=0.01) as hasty:
            hasty.append("hurries")
            while patient.durable_lsn < lsn:
                time.sleep(0.001)
        patient.sync()
        durable = patient.durable_lsn
        patient.append("waits again, now that the hasty one has gone")
        time.sleep(0.05)
        assert patient.durable_lsn == durable


def test_the_interval_ends_by_itself(path: Path) -> None:
    with DuraLog(path, commit_interval_seconds=0.05) as log:
        log.sync()
        lsn = log.append("record")
        while log.durable_lsn < lsn:
            time.sleep(0.001)
