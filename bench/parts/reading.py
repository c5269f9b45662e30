# SPDX-License-Identifier: MIT
"""The part about the C reader.

Knows the program reader. Changes when a question is added.
"""

from __future__ import annotations

from bed import Bed
from rows import Part, Row

from parts.common import MIB, Rounds, Scale, rounds


def reader(bed: Bed, scale: Scale) -> Part:
    got = Rounds()
    for _ in rounds("reader", scale.rounds):
        got.add("", bed.measure_log("reader", scale.bytes))
    row = Row("100 B", "MB/s", got["ours"], "checksum alone", got["floor"], ">= 0.60", "P8")
    row.says = "reading 100 B records from a warm log"
    row.is_headline = True
    question = f"a warm log of {scale.bytes // MIB} MiB, against the checksum of its records alone"
    return Part("reader", question, [row])
