# SPDX-License-Identifier: MIT
"""What logging handlers append is printed as lines of a log, and nothing else is.

Knows the keys that tools/duralog/log_line.h names. Changes with those.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from programs import BYTES, JSON, TEXT, Cli, Handle, end

RECORD: dict[str, Any] = {
    "duralog": "logging",
    "created": 1764073469.123,
    "levelname": "INFO",
    "levelno": 20,
    "name": "app.web",
    "message": "it is done",
    "lineno": 7,
}
LINE = "2025-11-25 12:24:29,123 INFO app.web: it is done"


def printed(cli: Cli, log: Path, *records: dict[str, Any] | str, tz: str = "UTC") -> str:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in records]
    cli.append(log, *lines, kind="json")
    return cli.ok("cat", log, env={"TZ": tz}).out


def test_a_record_is_a_line(cli: Cli, log: Path) -> None:
    assert printed(cli, log, RECORD) == LINE + "\n"


@pytest.mark.parametrize(
    ("tz", "created", "shown"),
    [
        ("EST5", 1764073469.123, "2025-11-25 07:24:29,123"),
        ("IST-5:30", 1764073469.123, "2025-11-25 17:54:29,123"),
        ("UTC", 0, "1970-01-01 00:00:00,000"),
        ("UTC", -0.25, "1969-12-31 23:59:59,750"),
        ("UTC", 1.9996, "1970-01-01 00:00:02,000"),
        ("UTC", 1e9, "2001-09-09 01:46:40,000"),
    ],
)
def test_the_time_is_local(cli: Cli, log: Path, tz: str, created: float, shown: str) -> None:
    assert printed(cli, log, RECORD | {"created": created}, tz=tz)[:23] == shown


def test_extra_follows_as_it_stands(cli: Cli, log: Path) -> None:
    extra = '{"user": 7, "price": 1.50, "deep": [{"}": "{\\n"}]}'
    record = json.dumps(RECORD | {"extra": "here"}).replace('"here"', extra)
    assert printed(cli, log, record) == f"{LINE} {extra}\n"


def test_what_is_no_extra_is_not_shown(cli: Cli, log: Path) -> None:
    records = [RECORD | {"extra": extra} for extra in ({}, None, "text", [1], 7)]
    assert printed(cli, log, *records).splitlines() == [LINE] * 5


def test_exception_and_stack_are_indented(cli: Cli, log: Path) -> None:
    record = RECORD | {
        "exc_text": "Traceback:\n  File x\nLookupError: gone\n",
        "stack_info": "Stack:\n  File y",
        "extra": {"n": 1},
    }
    assert printed(cli, log, record).splitlines() == [
        LINE + ' {"n": 1}',
        *("    Traceback:", "      File x", "    LookupError: gone"),
        *("    Stack:", "      File y"),
    ]


def test_no_message_can_pretend_to_be_another_record(cli: Cli, log: Path) -> None:
    forged = f"x\n{LINE}\r{LINE}\x1b[1A\x00\x7f\t."
    record = RECORD | {"message": forged, "name": "a\nb", "levelname": "I\nO"}
    lines = printed(cli, log, record, RECORD).splitlines()
    assert lines == [
        "2025-11-25 12:24:29,123 I",
        "    O a",
        "    b: x",
        f"    {LINE}\\x0d{LINE}\\x1b[1A\\x00\\x7f\t.",
        LINE,
    ]


def test_no_control_character_of_the_second_kind_is_shown(cli: Cli, log: Path) -> None:
    record = RECORD | {"message": "\x85\x9b1A\x80\x9f\xa0", "extra": {"key": "\x9b1A"}}
    shown = LINE.replace("it is done", r"\x85\x9b1A\x80\x9f") + "\xa0" + r' {"key": "\x9b1A"}'
    assert printed(cli, log, json.dumps(record, ensure_ascii=False)) == shown + "\n"


def test_characters_are_those_that_were_logged(cli: Cli, log: Path) -> None:
    for text in ('say "hé" \\', "𝄞", "\u2028", "/"):
        assert text in printed(cli, log, RECORD | {"message": text})


def test_any_order_and_blanks_will_do(cli: Cli, log: Path) -> None:
    record = json.dumps(dict(reversed(RECORD.items())), separators=(" , ", " : "))
    assert printed(cli, log, f"  {record}  ") == LINE + "\n"


def test_follow_prints_lines_as_well(cli: Cli, log: Path) -> None:
    cli.append(log, json.dumps(RECORD), kind="json")
    follow = cli.start("follow", log, "--from", "0", env={"TZ": "UTC"})
    assert follow.stdout
    assert follow.stdout.readline().decode() == LINE + "\n"
    assert end(follow).status == 0


def test_json_shows_them_as_objects(cli: Cli, log: Path) -> None:
    cli.append(log, json.dumps(RECORD), kind="json")
    (shown,) = cli.ok("cat", log, "--json")
    assert shown == {"lsn": shown["lsn"], "type": "json", "data": RECORD}


# ---- What is none --------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RECORD.items() if key != name}


ORDINARY = {
    "another mark": json.dumps(RECORD | {"duralog": "metric"}),
    "a longer mark": json.dumps(RECORD | {"duralog": "logging2"}),
    "a mark that is no string": json.dumps(RECORD | {"duralog": ["logging"]}),
    "no mark": json.dumps(without("duralog")),
    "a mark in a value": json.dumps(without("duralog") | {"x": '"duralog": "logging"'}),
    "a mark further in": json.dumps({**without("duralog"), "x": {"duralog": "logging"}}),
    "all of it further in": json.dumps({"x": RECORD}),
    "in an array": json.dumps([RECORD]),
    "keys as values": json.dumps([*RECORD, "duralog", "logging"]),
    "a string": json.dumps('{"duralog": "logging"}'),
    "no level": json.dumps(without("levelname")),
    "no name": json.dumps(without("name")),
    "no message": json.dumps(without("message")),
    "no time": json.dumps(without("created")),
    "a message that is no string": json.dumps(RECORD | {"message": {"a": 1}}),
    "a level that is null": json.dumps(RECORD | {"levelname": None}),
    "a time in words": json.dumps(RECORD | {"created": "now"}),
    "a time beyond the calendar": json.dumps(RECORD | {"created": 1e300}),
    "a time beyond every double": json.dumps(RECORD).replace("1764073469.123", "1e999"),
    "a time of many digits": json.dumps(RECORD).replace(".123", ".1" + "0" * 100),
    "only the mark": '{"duralog": "logging"}',
}


def test_an_ordinary_record_is_printed_as_it_is(cli: Cli, log: Path) -> None:
    shown = printed(cli, log, *ORDINARY.values(), RECORD).splitlines()
    assert dict(zip(ORDINARY, shown)) == ORDINARY
    assert shown[len(ORDINARY) :] == [LINE]


def test_what_only_looks_like_one_is_printed_as_it_is(cli: Cli, log: Path, handle: Handle) -> None:
    alike = [
        (json.dumps(RECORD).encode(), TEXT),
        (json.dumps(RECORD).encode(), BYTES),
        (json.dumps(RECORD).encode(), 17),
        (json.dumps(RECORD).encode() + b"1", JSON),
        (json.dumps(RECORD).encode() + b'"', JSON),
        (json.dumps(RECORD).encode()[:-1], JSON),
        (json.dumps(RECORD).encode().replace(b"done", b"\xff"), JSON),
        (json.dumps(RECORD).encode().replace(b"done", b"a\nb"), JSON),
    ]
    handle.wait([handle.append(data, kind) for data, kind in alike][-1])
    assert cli.ok("cat", log).bytes == b"".join(data + b"\n" for data, _ in alike)


def test_a_record_over_several_lines_is_one_line(cli: Cli, log: Path, handle: Handle) -> None:
    data = json.dumps(RECORD | {"extra": {"a": [1], "b": "x"}}, indent=2).encode()
    handle.wait(handle.append(data, JSON))
    (line,) = cli.ok("cat", log, env={"TZ": "UTC"}).out.splitlines()
    assert line.startswith(LINE + " {")
    assert json.loads(line[len(LINE) :]) == {"a": [1], "b": "x"}


def test_nesting_of_any_depth_is_no_harm(cli: Cli, log: Path) -> None:
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    record = json.dumps(RECORD | {"extra": "here"}).replace('"here"', deep)
    assert printed(cli, log, record) == f"{LINE} {deep}\n"


def test_the_last_of_several_values_counts(cli: Cli, log: Path) -> None:
    record = json.dumps(RECORD)[:-1] + ', "message": "x", "message": "it is done"}'
    assert printed(cli, log, record) == LINE + "\n"
