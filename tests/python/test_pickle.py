# SPDX-License-Identifier: MIT
"""A handle travels as its path and options. Knows the public package."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from duralog import DuraLog, DuraLogClosedError, DuraLogIOError, DuraLogTimeoutError


class Own(DuraLog):
    """A subclass of an application."""


@pytest.mark.parametrize("travel", [lambda log: pickle.loads(pickle.dumps(log)), copy.copy])
def test_what_arrives_is_another_handle_on_the_same_log(log: DuraLog, travel) -> None:
    with travel(log) as arrived:
        arrived.append("from afar")
        assert (arrived.path, arrived.uuid) == (log.path, log.uuid)
    log.append("from here")
    assert list(log.replay()) == ["from afar", "from here"]


def test_every_protocol_works(log: DuraLog) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pickle.loads(pickle.dumps(log, protocol)) as arrived:
            arrived.append(protocol * "x")
    assert len(list(log.replay())) == pickle.HIGHEST_PROTOCOL + 1


def test_a_relative_path_arrives_where_it_was(place: Path, monkeypatch) -> None:
    monkeypatch.chdir(place)
    with DuraLog("app.log") as log:
        pickled = pickle.dumps(log)
        monkeypatch.chdir("/")
        with pickle.loads(pickled) as arrived:
            assert arrived.path == log.path


def test_options_travel_along(idle: DuraLog) -> None:
    lsn = idle.append("not durable without a flusher")
    with pickle.loads(pickle.dumps(idle)) as arrived, pytest.raises(DuraLogTimeoutError):
        arrived.wait(lsn, timeout=0.01)


def test_create_false_travels_along(place: Path) -> None:
    DuraLog(place / "gone.log").close()
    with DuraLog(place / "gone.log", create=False) as log:
        pickled = pickle.dumps(log).replace(b"gone.log", b"none.log")
    with pytest.raises(DuraLogIOError, match=r"none\.log"):
        pickle.loads(pickled)


def test_a_subclass_stays_one(path: Path) -> None:
    with Own(path) as log, pickle.loads(pickle.dumps(log)) as arrived:
        assert type(arrived) is Own


def test_a_closed_handle_does_not_travel(log: DuraLog) -> None:
    log.close()
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(DuraLogClosedError):
            travel(log)


def test_errors_travel_with_what_they_know(idle: DuraLog) -> None:
    with pytest.raises(DuraLogTimeoutError) as caught:
        idle.append("record", level="durable", timeout=0.01)
    arrived = pickle.loads(pickle.dumps(caught.value))
    assert type(arrived) is DuraLogTimeoutError
    assert str(arrived) == str(caught.value)
    assert (arrived.errno, arrived.filename) == (caught.value.errno, idle.path)
    assert (arrived.lsn, arrived.appended) == (caught.value.lsn, 1)
