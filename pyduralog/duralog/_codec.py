# SPDX-License-Identifier: MIT
"""Records and their bytes: dict and list are JSON, str is text, bytes-like is bytes.

The rule: a record is accepted if and only if reading it back gives an equal value. So tuples are
refused (a list would come back), and so are keys that are no str, NaN and infinity, and whatever
else a JSON library would turn into something similar: Enum, UUID, datetime, dataclasses, numpy's
arrays. Subclasses of dict, list, str, int and float are accepted, since they are equal to the plain
value that comes back: OrderedDict and defaultdict, IntEnum, `class Color(str, Enum)`. An int may
be of any size. What nests deeper than DEPTH_MAX is refused, whatever library is there to read it.

A handle that was opened with a Codec is another matter: that decides what it keeps.

The library writes the common records by itself (src/python/json.c). Else orjson does the work where
it is installed, the standard library's json elsewhere. orjson knows integers of 64 bits only and
reads greater ones as floats; so what json has written begins with a space, which is no part of the
value, and is read by json everywhere.

Knows the types' numbers in _native. Changes with the kinds of values that a log takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Callable, NamedTuple, Union

from ._errors import DuraLogConfigurationError
from ._native import BYTES, JSON, TEXT

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment, unused-ignore]

DEPTH_MAX = 200  # orjson writes 254 levels and json reads what Python's stack allows
WRITTEN_BY_JSON = b" "

APPLICATION_TYPES = range(16, 256)

Record = Union[dict[str, Any], list[Any], str, bytes, bytearray, memoryview]
Encode = Callable[[Any], tuple[bytes, int]]
Decode = Callable[[int, Any], Any]


@dataclass(frozen=True)
class Codec:
    """What a handle does with records that are neither text nor bytes, instead of JSON as this
    package writes it: `DuraLog(path, codec=Codec(dumps, loads))`.

    `dumps`
        Called with each such record, of whatever type; returns the bytes to store. What it raises,
        `append` raises. It alone answers for what comes back: nothing is checked. It may be called
        twice for a record.
    `loads`
        Called with the bytes of each record of `type`; what it returns is yielded. What it raises
        is raised in place of the record, and the iterator may go on behind it.
    `type`
        How the records are marked: 3, JSON, which every tool shows, or 16 to 255, for what is none;
        the tools show that as base64. A handle without this codec gets the bytes.

        Codec(msgspec.json.encode, msgspec.json.decode)
        Codec(msgspec.msgpack.encode, msgspec.msgpack.decode, type=16)
        Codec(pickle.dumps, pickle.loads, type=17)

    The last one is dangerous: to load a pickle runs whatever code it names. Whoever may append to
    the log, or write its files, then runs code in every process that reads it so.

    Both are called with the interpreter's lock, by any thread. A handle pickles only if its codec
    does: functions of a module do, lambdas do not.
    """

    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]
    type: int = JSON

    def __post_init__(self) -> None:
        if not callable(self.dumps) or not callable(self.loads):
            raise TypeError("a Codec takes two functions, dumps and loads")
        if self.type != JSON and self.type not in APPLICATION_TYPES:
            raise DuraLogConfigurationError(
                f"type={self.type!r}: a Codec's records are of type 3, JSON, or 16 to 255"
            )

    def encode(self, record: Any) -> tuple[bytes, int]:
        if isinstance(record, (str, bytes, bytearray, memoryview)):
            return encode(record)
        payload = self.dumps(record)
        if type(payload) is not bytes:
            raise TypeError(f"the codec's dumps returned an object {_named(payload)}, not bytes")
        return payload, self.type

    def decode(self, kind: int, payload: Any) -> Any:
        return self.loads(bytes(payload)) if kind == self.type else decode(kind, payload)


class Way(NamedTuple):
    """All that a handle has to know of its codec. `dumps` and `loads` are for the library: the
    functions that it may call by itself, None if there are none; `chosen` by the user, or with the
    care that this package takes."""

    encode: Encode
    decode: Decode
    dumps: Callable[[Any], bytes] | None
    loads: Callable[[bytes], Any] | None
    type: int
    chosen: bool


def way_of(codec: Codec | None) -> Way:
    if codec is None:
        if orjson is None:
            return Way(encode, decode, None, None, JSON, False)
        return Way(encode, decode, orjson.dumps, orjson.loads, JSON, False)
    if not isinstance(codec, Codec):
        raise TypeError(f"codec is a duralog.Codec, not {codec!r}")
    return Way(codec.encode, codec.decode, codec.dumps, codec.loads, codec.type, True)


# ---- The package's own ---------------------------------------------------------------------------


def encode(record: Record) -> tuple[bytes, int]:
    """The record's payload and type. TypeError names what cannot be kept, and where."""
    if type(record) is dict and orjson is not None and _is_plain(record.values(), DEPTH_MAX):
        try:
            return orjson.dumps(record), JSON
        except TypeError:
            pass  # a key, a surrogate, a large int: found, and named, below
    return _encode_with_care(record)


def decode(kind: int, payload: Any) -> Any:
    """The value that was appended, from its bytes or a memoryview of them. What is not what its
    type claims comes as bytes, nothing lost: another program may have written it, and the library
    does not check the claim."""
    try:
        if kind == JSON:
            if orjson is None or payload[0] == WRITTEN_BY_JSON[0]:
                return _json_loads(payload)
            return orjson.loads(payload)
        if kind == TEXT:
            return str(payload, "utf-8")
    except (ValueError, IndexError, RecursionError):
        pass
    return bytes(payload)


def _is_plain(values: Iterable[Any], depth: int) -> bool:
    """Whether orjson keeps all of them as they are. It refuses wrong keys by itself."""
    for value in values:
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            continue
        if kind is float:
            if not isfinite(value):
                return False
        elif kind is dict:
            if depth == 1 or not _is_plain(value.values(), depth - 1):
                return False
        elif kind is list:
            if depth == 1 or not _is_plain(value, depth - 1):
                return False
        else:
            return False
    return True


def _encode_with_care(record: Any) -> tuple[bytes, int]:
    if isinstance(record, str):
        return _utf8(record, "the record"), TEXT
    if isinstance(record, (bytes, bytearray, memoryview)):
        return bytes(record), BYTES
    if isinstance(record, (dict, list)):
        return _dumps(_plain(record, "record", DEPTH_MAX)), JSON
    raise TypeError(
        f"a record is a dict, list, str, bytes, bytearray or memoryview, not {_named(record)}"
    )


def _plain(value: Any, where: str, depth: int) -> Any:
    """An equal value that is made of dict, list, str, int, float, bool and None themselves."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        _utf8(value, where)
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise TypeError(f"{where} is {value!r}, which JSON cannot hold")
        return float.__float__(value)
    if not isinstance(value, (dict, list)):
        raise TypeError(
            f"{where} is {_named(value)}, which would not come back equal from JSON; convert it "
            "first, a tuple to a list, a date or a UUID to str"
        )
    if depth == 0:
        raise TypeError(f"the record nests deeper than {DEPTH_MAX} levels, or contains itself")
    if isinstance(value, list):
        items = enumerate(list.__iter__(value))
        return [_plain(item, f"{where}[{i}]", depth - 1) for i, item in items]
    return {
        _plain_key(key, where): _plain(item, f"{where}[{key!r}]", depth - 1)
        for key, item in dict.items(value)
    }


def _plain_key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}, {_named(key)}; JSON's keys are str")
    _utf8(key, f"a key of {where}")
    return str.__str__(key)


def _utf8(text: str, where: str) -> bytes:
    try:
        return str.encode(text)
    except UnicodeEncodeError as error:
        raise TypeError(
            f"{where} holds the lone surrogate {text[error.start]!a} at index {error.start}, "
            "which UTF-8 cannot hold"
        ) from None


def _named(value: Any) -> str:
    return f"of type {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _dumps(value: Any) -> bytes:
    """JSON of what _plain has returned."""
    if orjson is not None:
        try:
            return orjson.dumps(value)
        except TypeError:
            pass  # a large int
    try:
        return WRITTEN_BY_JSON + _json_encode(value).encode()
    except ValueError as error:
        raise TypeError(f"the record has an int of too many digits: {error}") from None


_json_encode: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def _json_loads(payload: Any) -> Any:
    return json.loads(str(payload, "utf-8"), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
