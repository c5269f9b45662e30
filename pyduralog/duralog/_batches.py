# SPDX-License-Identifier: MIT
"""Many records: an iterable of them, and those that are on their way into the log.

Knows _codec, _errors. Changes with the form in which the library takes many records at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from ._codec import Encode, Record
from ._errors import DuraLogTooLargeError

LENGTH_MAX = (1 << 32) - 1  # a length has 32 bits


class Batch:
    """Encoded records, to append with one call."""

    def __init__(self, data: bytes, lengths: bytes, kinds: bytes) -> None:
        self.data = data
        self.lengths = array("I", lengths)
        self.kinds = kinds

    def __len__(self) -> int:
        return len(self.kinds)

    def behind(self, count: int) -> Batch:
        """All but the first `count`."""
        if count == 0:
            return self
        data = self.data[sum(self.lengths[:count]) :]
        return Batch(data, self.lengths[count:].tobytes(), self.kinds[count:])


class Guarded:
    """An iterator over what the caller gave. What that raises ends it and is kept, so that the
    records before can be appended first."""

    def __init__(self, records: Iterable[Any]) -> None:
        if isinstance(records, (dict, str, bytes, bytearray, memoryview)):
            raise TypeError(
                f"append_many takes an iterable of records, not a {type(records).__name__}; "
                "append takes one record"
            )
        self.error: Exception | None = None
        iterator = iter(records)
        # That of a list or tuple raises nothing.
        plain = type(records) is list or type(records) is tuple
        self.iterator = iterator if plain else self._guard(iterator)

    def _guard(self, records: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from records
        except Exception as error:
            self.error = error


def encode_numbered(encode: Encode, record: Record, index: int) -> Batch:
    """A batch of one; an error says which of append_many's records it was."""
    try:
        payload, kind = encode(record)
    except TypeError as wrong:
        raise TypeError(
            f"record {index} of append_many, those before it are in the log: {wrong}"
        ) from None
    if len(payload) > LENGTH_MAX:
        error = DuraLogTooLargeError(
            f"record {index} of append_many has {len(payload)} bytes, more than any log takes; "
            "those before it are in the log"
        )
        error.appended = index
        raise error
    return Batch(payload, array("I", [len(payload)]).tobytes(), bytes([kind]))
