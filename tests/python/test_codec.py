# SPDX-License-Identifier: MIT
"""A codec of the user's own. Knows the public package."""

from __future__ import annotations

import datetime
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from duralog import Codec, DuraLog, DuraLogConfigurationError

pytestmark = pytest.mark.usefixtures("way")

SPACED = Codec(lambda value: json.dumps(value).encode(), json.loads)
PICKLED = Codec(pickle.dumps, pickle.loads, type=17)


def refuse(value: Any) -> Any:
    raise LookupError(f"cannot take {value!r}")


def test_it_takes_what_is_neither_text_nor_bytes(path: Path) -> None:
    records = [{1: {2, 3}}, (1, None), datetime.date(2020, 1, 1), None, 7, "text", b"bytes", True]
    with DuraLog(path, codec=PICKLED) as log:
        for record in records:
            log.append(record)
        log.append_many(records)
        assert list(log.replay()) == records + records
        assert [kind for kind, _ in log.replay(raw=True)][:8] == [17, 17, 17, 17, 17, 2, 1, 17]


def test_subclasses_of_text_and_bytes_are_no_business_of_it(path: Path) -> None:
    class Text(str):
        pass

    class Bytes(bytes):
        pass

    with DuraLog(path, codec=PICKLED) as log:
        log.append_many([Text("a"), Bytes(b"b"), bytearray(b"c"), memoryview(b"d")])
        assert list(log.replay(raw=True)) == [(2, b"a"), (1, b"b"), (1, b"c"), (1, b"d")]


def test_a_codec_of_json_is_read_by_all(path: Path) -> None:
    with DuraLog(path, codec=SPACED) as log, DuraLog(path) as other:
        log.append({"a": [1, 2]})
        other.append({"b": 3})
        assert list(log.replay()) == list(other.replay()) == [{"a": [1, 2]}, {"b": 3}]
        assert next(log.replay(raw=True)) == (3, b'{"a": [1, 2]}')
        assert next(log.follow(from_lsn=0)) == {"a": [1, 2]}


def test_records_of_another_type_come_as_without_it(path: Path) -> None:
    with DuraLog(path, codec=PICKLED) as log, DuraLog(path) as other:
        log.append({1: 2})
        other.append({"b": 3})
        assert list(log.replay()) == [{1: 2}, {"b": 3}]
        assert list(other.replay()) == [pickle.dumps({1: 2}), {"b": 3}]


def test_msgspec_s_structs_pass(path: Path) -> None:
    msgspec = pytest.importorskip("msgspec")
    kind = msgspec.defstruct("Login", [("user", int), ("at", datetime.datetime)])
    record = kind(7, datetime.datetime(2020, 1, 1, 12))
    codec = Codec(msgspec.json.encode, msgspec.json.Decoder(kind).decode)
    with DuraLog(path, codec=codec) as log:
        log.append(record)
        assert list(log.replay()) == [record]


def test_what_dumps_raises_append_raises(path: Path) -> None:
    with DuraLog(path, codec=Codec(refuse, json.loads)) as log:
        log.append("text")
        with pytest.raises(LookupError, match="cannot take 7"):
            log.append(7)
        with pytest.raises(LookupError, match="cannot take 8"):
            log.append_many(["before", 8, "behind"])
        assert list(log.replay()) == ["text", "before"]


def test_dumps_must_return_bytes(path: Path) -> None:
    with DuraLog(path, codec=Codec(json.dumps, json.loads)) as log:  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="dumps returned an object of type str, not bytes"):
            log.append({})
        with pytest.raises(TypeError, match=r"record 1 of append_many.*not bytes"):
            log.append_many([b"", {}])
        assert list(log.replay()) == [b""]


def test_what_loads_raises_comes_in_place_of_the_record(path: Path) -> None:
    with DuraLog(path, codec=Codec(pickle.dumps, refuse, type=17)) as log:
        log.append_many(["a", "b", 7, "c"])
        replay = log.replay()
        assert [next(replay), next(replay)] == ["a", "b"]
        with pytest.raises(LookupError, match="cannot take"):
            next(replay)
        assert list(replay) == ["c"]


def interrupt(value: Any) -> Any:
    raise KeyboardInterrupt


def test_ctrl_c_within_dumps_is_not_lost(path: Path) -> None:
    with DuraLog(path, codec=Codec(interrupt, json.loads)) as log:
        with pytest.raises(KeyboardInterrupt):
            log.append(7)
        with pytest.raises(KeyboardInterrupt):
            log.append_many([7])
        assert list(log.replay()) == []


def test_ctrl_c_within_loads_is_not_lost(path: Path) -> None:
    with DuraLog(path, codec=Codec(pickle.dumps, interrupt, type=17)) as log:
        log.append_many(["a", 7])
        replay = log.replay()
        assert next(replay) == "a"
        with pytest.raises(KeyboardInterrupt):
            next(replay)


def test_a_handle_takes_its_codec_along_when_it_is_pickled(path: Path) -> None:
    with DuraLog(path, codec=PICKLED) as log, pickle.loads(pickle.dumps(log)) as other:
        other.append({1: 2})
        assert list(log.replay()) == [{1: 2}]


@pytest.mark.parametrize("kind", [0, 1, 2, 4, 15, 256, -1, "17", None])
def test_a_type_that_means_something_else_is_refused(kind: Any) -> None:
    with pytest.raises(DuraLogConfigurationError, match="3, JSON, or 16 to 255"):
        Codec(pickle.dumps, pickle.loads, type=kind)


def test_what_is_no_codec_is_refused(path: Path) -> None:
    with pytest.raises(TypeError, match="two functions"):
        Codec(pickle.dumps, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"codec is a duralog\.Codec, not"):
        DuraLog(path, codec=pickle)  # type: ignore[arg-type]
    assert not path.exists()
