# SPDX-License-Identifier: MIT
"""Many records, gathered for as few calls of the library as possible.

Knows _codec, _errors. Changes with the form in which the library takes many records at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from ._codec import Record, encode
from ._errors import DuraLogTooLargeError

RECORDS_MAX = 1024
BYTES_MAX = 1 << 20
LENGTH_MAX = (1 << 32) - 1  # a length has 32 bits


class Batch:
    """Records to append with one call, and what ended the input behind them, if that was no end."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.kinds = bytearray()
        self.bytes = 0
        self.error: Exception | None = None

    def add(self, payload: bytes, kind: int) -> None:
        self.payloads.append(payload)
        self.kinds.append(kind)
        self.bytes += len(payload)

    def full(self) -> bool:
        return len(self.payloads) >= RECORDS_MAX or self.bytes >= BYTES_MAX

    def drop(self, count: int) -> None:
        """The first `count` are in the log."""
        del self.payloads[:count]
        del self.kinds[:count]

    def lengths(self) -> array[int]:
        return array("I", map(len, self.payloads))


def gather(records: Iterable[Record]) -> Iterator[Batch]:
    """Batches of all records. What goes wrong, in a record or in the caller's own iterator, comes
    as the last one's error, so that the records before it can be appended first."""
    batch = Batch()
    try:
        for index, record in enumerate(_checked(records)):
            if batch.full():
                yield batch
                batch = Batch()
            batch.add(*_encode_numbered(index, record))
    except Exception as error:
        batch.error = error
    yield batch


def _checked(records: Iterable[Record]) -> Iterator[Record]:
    if isinstance(records, (dict, str, bytes, bytearray, memoryview)):
        raise TypeError(
            f"append_many takes an iterable of records, not a {type(records).__name__}; append "
            "takes one record"
        )
    return iter(records)


def _encode_numbered(index: int, record: Any) -> tuple[bytes, int]:
    try:
        payload, kind = encode(record)
    except TypeError as error:
        raise TypeError(
            f"record {index} of append_many, those before it are in the log: {error}"
        ) from None
    if len(payload) > LENGTH_MAX:
        raise DuraLogTooLargeError(
            f"record {index} of append_many has {len(payload)} bytes, more than any log takes; "
            "those before it are in the log"
        )
    return payload, kind
