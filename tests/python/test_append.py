# SPDX-License-Identifier: MIT
"""What is appended is read back, in order, by whoever opens the log. Knows the public package."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from conftest import COMMAND
from duralog import DuraLog

pytestmark = pytest.mark.usefixtures("way")

RECORDS = [
    {"event": "login", "id": 7, "ok": True, "share": 0.25, "none": None},
    ["a", 1, [2, {"b": []}]],
    "text: grüße, 日本, \0 and 🎈",
    b"\x00\xff raw",
    {},
    [],
    "",
    b"",
]


def test_every_kind_of_record_comes_back_equal(log: DuraLog) -> None:
    for record in RECORDS:
        log.append(record)
    assert list(log.replay()) == RECORDS


def test_bytes_like_records_come_back_as_bytes(log: DuraLog) -> None:
    for record in (bytearray(b"abc"), memoryview(b"defg")[::2]):
        log.append(record)
    assert list(log.replay()) == [b"abc", b"df"]


def test_lsns_rise_and_name_the_records(log: DuraLog) -> None:
    lsns = [log.append(record) for record in RECORDS]
    assert lsns == sorted(set(lsns))
    assert list(log.replay(with_lsn=True)) == list(zip(lsns, RECORDS))


def test_a_record_of_a_mebibyte_comes_back(log: DuraLog) -> None:
    record = {"blob": os.urandom(1 << 19).hex()}
    log.append(record)
    assert list(log.replay()) == [record]


def test_more_than_the_ring_holds_passes_through_it(path: Path) -> None:
    with DuraLog(path, ring_bytes=1 << 16, segment_bytes=1 << 16) as log:
        records = [{"number": i, "filling": "x" * (i % 300)} for i in range(5000)]
        for record in records:
            log.append(record)
        assert list(log.replay()) == records


def test_spare_bytes_are_kept_as_files_ahead_of_need(path: Path) -> None:
    def status() -> dict[str, int]:
        asked = subprocess.run([COMMAND, "status", "--json", path], check=True, capture_output=True)
        return json.loads(asked.stdout)

    with DuraLog(path, segment_bytes=1 << 16, spare_bytes=(1 << 17) + 1) as log:
        log.append("x" * 1000)
        deadline = time.monotonic() + 60
        while status()["spares"] < 3:
            assert time.monotonic() < deadline
        assert (status()["spares_kept"], status()["spare_bytes"]) == (3, (1 << 17) + 1)
        for _ in range(300):
            log.append("x" * 1000)
        assert list(log.replay()) == ["x" * 1000] * 301
    with DuraLog(path, spare_bytes=0):  # an existing log's stands
        assert status()["spares_kept"] == 3


def test_a_log_is_there_for_the_next_who_opens_it(path: Path) -> None:
    with DuraLog(path) as log:
        log.append("first")
        uuid = log.uuid
    with DuraLog(path) as log:
        log.append("second")
        assert log.uuid == uuid
        assert list(log.replay()) == ["first", "second"]


def test_two_handles_of_a_process_share_the_log(path: Path) -> None:
    with DuraLog(path) as one, DuraLog(path) as other:
        one.append("one")
        other.append("other")
        one.append("one again")
        assert list(other.replay()) == ["one", "other", "one again"]


def test_the_arguments_of_old_still_work(path: Path) -> None:
    with DuraLog(file_path=str(path), commit_interval_seconds=0.01, max_queue_size=1000) as log:
        log.append({"event": "old"})
        log.append("text")
        assert list(log.replay()) == [{"event": "old"}, "text"]


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_path_may_be_str_bytes_or_path(path: Path, kind: type) -> None:
    with DuraLog(kind(str(path))) as log:
        assert log.path == os.path.realpath(path)


def test_missing_parent_directories_are_made(place: Path) -> None:
    with DuraLog(place / "a/b/c.log") as log:
        log.append("here")
    assert (place / "a/b/c.log/meta").exists()


def test_a_relative_path_is_made_absolute(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with DuraLog("app.log") as log:
        assert log.path == os.path.realpath(place / "app.log")
