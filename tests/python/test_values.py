# SPDX-License-Identifier: MIT
"""Which values a log takes: those that come back equal, with orjson and without.

Knows the package's _codec, to take orjson away from it.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import math
import random
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from duralog import DuraLog, _codec, _native

Point = collections.namedtuple("Point", "x y")


class Number(enum.IntEnum):
    ONE = 1


class Color(str, enum.Enum):
    RED = "red"


class Plain(enum.Enum):
    A = "a"


class Text(str):
    pass


@dataclasses.dataclass
class Data:
    x: int = 1


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


cycle: list[Any] = []
cycle.append(cycle)

ACCEPTED = [
    {"big": 2**64, "small": -(2**63) - 1, "limits": [2**64 - 1, -(2**63)]},
    {"huge": 10**400},
    {"float": [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 2.0]},
    {"escapes": '"\\/\b\f\n\r\t\x00\x7f\u2028'},
    {"ключ": "значение", "": ""},
    {"null": "null", "NaN": "NaN"},
    collections.OrderedDict(a=1, b=[2]),
    collections.defaultdict(list, a=[1]),
    collections.Counter("abca"),
    {"enum": Number.ONE, "color": Color.RED, "text": Text("x"), Text("key"): 1},
    [True, False, None],
    nested(_codec.DEPTH_MAX),
    Text("a subclass of str"),
    " begins with a space",
]

REFUSED = [
    ({"a": math.nan}, r"record\['a'\] is nan"),
    ([1, [math.inf]], r"record\[1\]\[0\] is inf"),
    ({"a": {"b": -math.inf}}, r"record\['a'\]\['b'\] is -inf"),
    ({"a": (1, 2)}, r"record\['a'\] is of type tuple"),
    ([Point(1, 2)], r"record\[0\] is of type .*Point"),
    ({"a": {1}}, r"of type set"),
    ({"a": b"x"}, r"of type bytes"),
    ({"a": Plain.A}, r"of type .*Plain"),
    ({"a": uuid.UUID(int=1)}, r"of type uuid.UUID"),
    ({"a": datetime.datetime(2020, 1, 1)}, r"of type datetime.datetime"),
    ({"a": datetime.date(2020, 1, 1)}, r"of type datetime.date"),
    ({"a": Data()}, r"of type .*Data"),
    ({"a": decimal.Decimal(1)}, r"of type decimal.Decimal"),
    ({"a": object()}, r"of type object"),
    ({1: "a"}, r"record has the key 1, of type int"),
    ({"a": {None: 1}}, r"record\['a'\] has the key None"),
    ({True: 1}, r"the key True"),
    ({Plain.A: 1}, r"the key .*Plain"),
    ({"a": "\ud800"}, r"record\['a'\] holds the lone surrogate '\\ud800' at index 0"),
    ({"x\udfff": 1}, r"a key of record holds the lone surrogate"),
    ("ab\udc80", r"the record holds the lone surrogate '\\udc80' at index 2"),
    (cycle, r"nests deeper than 200 levels, or contains itself"),
    (nested(_codec.DEPTH_MAX + 1), r"nests deeper"),
    (None, r"not of type NoneType"),
    (1, r"not of type int"),
    (1.5, r"not of type float"),
    ((1, 2), r"not of type tuple"),
    ({1, 2}, r"not of type set"),
    (Data(), r"not of type .*Data"),
]


def added(log: DuraLog, since: int) -> list[Any]:
    return list(log.replay(from_lsn=since))


@pytest.fixture(params=["orjson, fast", "orjson, ctypes", "json"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "json":
        monkeypatch.setattr(_codec, "orjson", None)
    elif _codec.orjson is None:
        pytest.skip("orjson is not installed")
    if request.param == "orjson, ctypes":
        monkeypatch.setattr(_native.library(), "is_fast", False)
    return str(request.param)


@pytest.fixture
def log(shared_log: DuraLog, backend: str) -> Iterator[DuraLog]:
    """A handle of that backend on the log of all these tests."""
    with DuraLog(shared_log.path) as opened:
        yield opened


@pytest.mark.parametrize("record", ACCEPTED, ids=lambda value: repr(value)[:30])
def test_an_accepted_value_comes_back_equal(log: DuraLog, backend: str, record: Any) -> None:
    before = log.committed_lsn
    log.append(record)
    [back] = added(log, before)
    assert back == record
    assert repr(back) == repr(_codec._plain(record, "", _codec.DEPTH_MAX))


def awkward_values() -> Iterator[Any]:
    """On either side of every limit of the library's own JSON writer (src/python/json.c)."""
    chance = random.Random(7)
    for length in range(20):
        for code in (*range(128), 0x80, 0xFF, 0x20AC, 0x1F388):
            place = chance.randrange(length + 1)
            yield "x" * place + chr(code) + "y" * (length - place)
    for power in range(65):
        for near in (-1, 0, 1):
            yield from (2**power + near, -(2**power) + near)
    for digits in range(12):
        for _ in range(300):
            number = chance.randrange(10 ** (digits + 8)) / 10**digits
            yield from (number, -number, number * (1 + 2**-52), number * 1e-7)
    yield from (
        0.1 + 0.2,
        1 / 3,
        5e-324,
        -0.0,
        1e22,
        9e9,
        9e9 * (1 - 2**-53),
        1e-6,
        1e-7,
        1e308,
    )
    yield from (None, True, False, "", {}, [], [{}], {"": []}, {"a": {"b": [[]]}})


def test_every_awkward_value_comes_back_equal(log: DuraLog) -> None:
    values = list(awkward_values())
    before = log.committed_lsn
    log.append_many([value] for value in values)
    log.append_many({"before": 1, str(value): value} for value in values)
    back = added(log, before)
    assert list(map(repr, back[: len(values)])) == [repr([value]) for value in values]
    expected = [repr({"before": 1, str(value): value}) for value in values]
    assert list(map(repr, back[len(values) :])) == expected


def test_records_around_the_size_that_is_written_at_once_come_back_equal(log: DuraLog) -> None:
    records: list[Any] = []
    for length in range(16 * 1024 - 40, 16 * 1024 + 8):
        filling = "x" * length
        records += [[filling], {"k": filling}, {filling: 1}, [filling[:-30], 123456, -0.125, None]]
        records += [[filling[:-30], True, False, {"a": []}], [[filling]], [*filling[:8200:2]]]
    before = log.committed_lsn
    for record in records:
        log.append(record)
    assert added(log, before) == records


def test_what_one_writes_the_other_reads(
    shared_log: DuraLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("orjson")
    log = shared_log
    before = log.committed_lsn
    with monkeypatch.context() as without:
        without.setattr(_codec, "orjson", None)
        other = DuraLog(log.path)
    with other:
        for record in ACCEPTED:
            log.append(record)
        assert added(other, before) == ACCEPTED
        for record in ACCEPTED:
            other.append(record)
        assert added(log, before) == ACCEPTED + ACCEPTED


@pytest.mark.parametrize(("record", "sentence"), REFUSED, ids=lambda value: repr(value)[:30])
def test_a_refused_value_is_named_and_leaves_nothing(
    log: DuraLog, backend: str, record: Any, sentence: str
) -> None:
    before = log.append("before")
    with pytest.raises(TypeError, match=sentence):
        log.append(record)
    assert log.committed_lsn == before
    assert added(log, before) == []


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="this Python has no limit")
def test_an_int_of_more_digits_than_python_prints_is_refused(log: DuraLog, backend: str) -> None:
    before = log.committed_lsn
    with pytest.raises(TypeError, match="digits"):
        log.append({"a": 10 ** (sys.get_int_max_str_digits() + 1)})
    assert log.committed_lsn == before


def test_numbers_of_numpy_are_refused_unless_they_are_floats(log: DuraLog, backend: str) -> None:
    numpy = pytest.importorskip("numpy")
    before = log.committed_lsn
    log.append({"a": numpy.float64(0.1)})
    for value in (numpy.int64(1), numpy.array([1]), numpy.bool_(True)):
        with pytest.raises(TypeError, match="numpy"):
            log.append({"a": value})
    assert added(log, before) == [{"a": 0.1}]


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (_codec.TEXT, b"\xff", b"\xff"),
        (_codec.JSON, b"{", b"{"),
        (_codec.JSON, b"", b""),
        (_codec.JSON, b"[NaN]", b"[NaN]"),
        (_codec.JSON, b" [NaN]", b" [NaN]"),
        (_codec.JSON, b"\xff", b"\xff"),
        (_codec.JSON, b"null", None),
        (_codec.JSON, b"3", 3),
        (_codec.JSON, b' {"a": 18446744073709551616}', {"a": 2**64}),
        (17, b"of the application", b"of the application"),
    ],
)
def test_a_payload_that_is_not_what_it_claims_comes_as_bytes(
    backend: str, kind: int, payload: bytes, expected: Any
) -> None:
    assert _codec.decode(kind, memoryview(payload)) == expected
