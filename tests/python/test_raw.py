# SPDX-License-Identifier: MIT
"""Reading without decoding, and without copying. Knows the package's _native for the types."""

from __future__ import annotations

import ctypes
import gc
from itertools import islice

import pytest
from duralog import DuraLog
from duralog._native import BYTES, JSON, TEXT

pytestmark = pytest.mark.usefixtures("way")

RECORDS = [{"a": 1}, "text", b"bytes", [], b""]
RAW = [(JSON, b'{"a":1}'), (TEXT, b"text"), (BYTES, b"bytes"), (JSON, b"[]"), (BYTES, b"")]


@pytest.fixture
def lsns(log: DuraLog) -> list[int]:
    return [log.append(record) for record in RECORDS]


def test_raw_records_are_pairs_of_type_and_bytes(log: DuraLog, lsns: list[int]) -> None:
    assert [(kind, data.strip()) for kind, data in log.replay(raw=True)] == RAW
    assert [lsn for lsn, _ in log.replay(with_lsn=True, raw=True)] == lsns
    assert list(log.replay(from_lsn=lsns[1], raw=True)) == RAW[2:]


def test_follow_can_be_raw_as_well(log: DuraLog, lsns: list[int]) -> None:
    follow = log.follow(from_lsn=lsns[0], raw=True, with_lsn=True)
    assert list(islice(follow, 4)) == list(zip(lsns, RAW))[1:]


def test_views_show_what_is_there(log: DuraLog, lsns: list[int]) -> None:
    found = [(lsn, kind, bytes(view)) for lsn, kind, view in log.replay_views()]
    assert found == [(lsn, *raw) for lsn, raw in zip(lsns, RAW)]
    assert [lsn for lsn, _, _ in log.replay_views(from_lsn=lsns[2])] == lsns[3:]


def test_a_view_is_released_when_the_next_one_is_asked_for(log: DuraLog, lsns: list[int]) -> None:
    views = log.replay_views()
    _, _, first = next(views)
    assert first.readonly
    next(views)
    with pytest.raises(ValueError, match="released"):
        bytes(first)


def test_a_view_may_not_be_kept_by_a_slice(log: DuraLog, lsns: list[int]) -> None:
    views = log.replay_views()
    kept = [next(views)[2][:3]]
    with pytest.raises(BufferError, match="copy it with bytes"):
        for _ in views:
            pass
    assert bytes(kept[0]) == b'{"a'
    assert list(views) == []


def test_nor_by_somebody_else_s_export(log: DuraLog, lsns: list[int]) -> None:
    views = log.replay_views()
    _, _, first = next(views)
    kept = memoryview(first)
    exporting = ctypes.py_object(
        first
    )  # as numpy.frombuffer and the like do, by PyObject_GetBuffer
    buffer = ctypes.create_string_buffer(128)
    assert ctypes.pythonapi.PyObject_GetBuffer(exporting, buffer, 0) == 0
    with pytest.raises(BufferError, match="exported"):
        next(views)
    ctypes.pythonapi.PyBuffer_Release(buffer)
    assert bytes(kept) == b'{"a":1}'


def test_a_view_outlives_its_iterator_and_the_handle(log: DuraLog) -> None:
    record = b"x" * 100_000
    log.append_many([record] * 3)
    views = log.replay_views()
    _, _, view = next(views)
    part = view[1000:]
    del views
    log.close()
    gc.collect()
    assert bytes(view) == record
    assert bytes(part) == record[1000:]


def test_views_cross_frames_and_segments(place: object) -> None:
    with DuraLog(f"{place}/small.log", ring_bytes=1 << 16, segment_bytes=1 << 16) as log:
        lsns = [log.append(b"%d" % n * 500) for n in range(500)]
        found = [(lsn, bytes(view)) for lsn, _, view in log.replay_views()]
        assert found == [(lsn, b"%d" % n * 500) for n, lsn in enumerate(lsns)]
