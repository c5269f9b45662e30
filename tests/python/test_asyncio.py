# SPDX-License-Identifier: MIT
"""AsyncDuraLog: many coroutines, one thread that waits for all of them. Each test runs in asyncio's
own event loop and in uvloop's. Knows the public package, and the name that the thread bears."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import uvloop
from conftest import COMMAND, ROOT, stop
from duralog import (
    AsyncDuraLog,
    DuraLog,
    DuraLogClosedError,
    DuraLogConfigurationError,
    DuraLogCorruptionError,
    DuraLogIOError,
    DuraLogTimeoutError,
)
from duralog._waiting import Inbox
from test_processes import in_child, succeeded

MANY = 10_000
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run_in_a_new_loop(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run_in_a_new_loop


@pytest.fixture
def alog(log: DuraLog) -> AsyncDuraLog:
    return AsyncDuraLog(log)


@pytest.fixture
def idle_alog(idle: DuraLog) -> AsyncDuraLog:
    """Nothing becomes durable until serve() lets a flusher run."""
    return AsyncDuraLog(idle)


def serve(log: AsyncDuraLog) -> None:
    DuraLog(log.path).close()


def waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "duralog"]


async def suspended(*waits: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """The waits as tasks, each of which has begun."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def fill(log: AsyncDuraLog, record: bytes = b"x" * 1000) -> int:
    """Appends until the ring is full; how many."""
    for count in range(1 << 20):
        try:
            log._log.append(record, timeout=0)
        except DuraLogTimeoutError:
            return count
    raise AssertionError("the ring is never full")


# ---- Appending and waiting -----------------------------------------------------------------------


def test_append_returns_the_lsn_and_the_level_is_reached(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        first = await alog.append({"n": 1})
        second = await alog.append("two", level="durable", timeout=120)
        assert alog.durable_lsn >= second > first
        assert alog.committed_lsn >= second
        third = await alog.append(b"three", level="committed")
        await alog.wait(third, timeout=120)
        assert [pair async for pair in alog.replay(with_lsn=True)] == [
            (first, {"n": 1}),
            (second, "two"),
            (third, b"three"),
        ]

    run(main())


def test_ten_thousand_wait_by_means_of_one_thread(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with DuraLog(path, flusher=False) as opened:
            log = AsyncDuraLog(opened)
            calls = 0
            deliver = Inbox.deliver

            def counted(*arguments: Any) -> None:
                nonlocal calls
                calls += 1
                deliver(*arguments)

            monkeypatch.setattr(Inbox, "deliver", counted)
            tasks = await suspended(*(log.append({"n": n}, level="durable") for n in range(MANY)))
            assert len(waiting_threads()) == 1
            serve(log)
            lsns = await asyncio.gather(*tasks)
            assert lsns == sorted(set(lsns))
            assert log.durable_lsn >= lsns[-1]
            # Each visit to the loop serves all that one sync has made durable, not one coroutine.
            assert calls < MANY / 100

    run(main())


def test_a_lower_lsn_than_the_one_waited_for_is_not_kept_waiting(
    run: Run, idle_alog: AsyncDuraLog
) -> None:
    async def main() -> None:
        low, high = await idle_alog.append("low"), await idle_alog.append("high")
        tasks = await suspended(idle_alog.wait(high), idle_alog.wait(low), idle_alog.sync())
        serve(idle_alog)
        assert await outcomes(tasks) == [None, None, None]

    run(main())


def test_several_loops_in_several_threads_share_the_thread(
    run: Run, idle_alog: AsyncDuraLog
) -> None:
    begun = threading.Barrier(5)

    async def main(who: int) -> list[int]:
        tasks = await suspended(
            *(idle_alog.append({"who": who}, level="durable") for _ in range(20))
        )
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        return await asyncio.gather(*tasks)

    lsns: list[int] = []
    threads = [
        threading.Thread(target=lambda who=who: lsns.extend(run(main(who)))) for who in range(4)
    ]
    for thread in threads:
        thread.start()
    begun.wait()
    assert len(waiting_threads()) == 1
    serve(idle_alog)
    for thread in threads:
        thread.join()
    assert len(set(lsns)) == 80


def test_who_waits_ends_the_flusher_s_gathering(run: Run, path: Path) -> None:
    async def main() -> None:
        async with AsyncDuraLog(path, commit_interval_seconds=3600.0) as log:
            for _ in range(3):
                await log.append("at once", level="durable", timeout=120)
            await asyncio.gather(*(log.append("all", level="durable") for _ in range(50)))

    run(main())


def test_one_thread_waits_for_many_logs_one_of_which_hangs(
    run: Run, place: Path, alog: AsyncDuraLog, held_flusher: int
) -> None:
    async def main() -> None:
        logs = [AsyncDuraLog(place / f"{n}.log", ring_bytes=1 << 16) for n in range(20)]
        (hangs,) = await suspended(alog.append("hangs", level="durable"))
        followers = [asyncio.ensure_future(first(50, log.follow(0))) for log in logs]
        for n in range(10):
            appends = (
                log.append({"n": n * 5 + i}, level="durable") for log in logs for i in range(5)
            )
            await asyncio.gather(*appends)
            assert len(waiting_threads()) == 1
        assert await asyncio.gather(*followers) == [[{"n": n} for n in range(50)]] * 20
        assert not hangs.done()
        os.kill(flusher_of(logs[0]), signal.SIGKILL)
        await asyncio.gather(*(log.append("again", level="durable") for log in logs))
        assert not hangs.done()
        os.kill(held_flusher, signal.SIGCONT)
        await hangs
        for log in logs:
            await log.close()

    run(main())


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of threads that cannot be started."""
    names: set[str] = set()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name in names:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return names


def test_a_thread_that_cannot_be_had_is_told_and_asked_for_again(
    run: Run, alog: AsyncDuraLog, no_threads: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from duralog import _waiting

    monkeypatch.setattr(_waiting, "IDLE_S", 0.01)
    _waiting.wake()
    for thread in waiting_threads():  # those of earlier tests
        thread.join()
    no_threads.add("duralog")

    async def main() -> None:
        lsn = await alog.append("x")
        durable = alog.durable_lsn
        ahead = _waiting.watch().inbox(alog._log, "durable", asyncio.get_running_loop(), True)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                ahead.add(durable + (1 << 40))
        assert ahead._waits == []
        no_threads.clear()
        await alog.wait(lsn, timeout=120)
        later = ahead.add(alog.durable_lsn + 1)
        await alog.append("y")
        await later

    run(main())


def test_without_a_thread_for_it_a_flusher_is_replaced_all_the_same(
    run: Run, alog: AsyncDuraLog, no_threads: set[str]
) -> None:
    no_threads.add("duralog starts a flusher")

    async def main() -> None:
        await alog.append("before", level="durable", timeout=120)
        os.kill(flusher_of(alog), signal.SIGKILL)
        await alog.append("after", level="durable", timeout=120)

    run(main())


def test_who_waits_often_and_briefly_has_a_dead_flusher_replaced(
    run: Run, alog: AsyncDuraLog
) -> None:
    async def main() -> None:
        await alog.append("before", level="durable", timeout=120)
        os.kill(flusher_of(alog), signal.SIGKILL)
        lsn = await alog.append("after")
        while True:
            try:
                return await alog.wait(lsn, timeout=0.005)
            except DuraLogTimeoutError:
                pass

    run(main())


def test_append_many_takes_an_iterator_of_any_length(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        begin = alog.committed_lsn
        assert await alog.append_many([]) == begin
        lsn = await alog.append_many(({"n": n} for n in range(5000)), level="durable", timeout=120)
        assert alog.durable_lsn >= lsn
        assert [record["n"] async for record in alog.replay()] == list(range(5000))

    run(main())


def failing_after(count: int) -> Iterator[str]:
    yield from map(str, range(count))
    raise LookupError("the caller's own")


@pytest.mark.parametrize("count", [0, 3, 1024, 2000])
def test_what_came_before_an_iterator_s_failure_is_there(
    run: Run, alog: AsyncDuraLog, count: int
) -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            await alog.append_many(failing_after(count))
        assert [record async for record in alog.replay()] == list(map(str, range(count)))

    run(main())


def test_a_bad_value_is_named_by_its_place(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"^record 2 of append_many"):
            await alog.append_many(["a", "b", ("c",)])
        with pytest.raises(TypeError, match="counted from record 1024: record 3 of append_many"):
            await alog.append_many([*["a"] * 1027, None])
        with pytest.raises(TypeError, match="takes an iterable"):
            await alog.append_many("abc")
        assert len([record async for record in alog.replay()]) == 2 + 1027

    run(main())


def test_what_cannot_be_is_refused_before_anything_is_appended(
    run: Run, alog: AsyncDuraLog
) -> None:
    async def main() -> None:
        for bad in ({"level": "lost"}, {"timeout": -1}, {"level": "durable", "timeout": -1}):
            with pytest.raises(DuraLogConfigurationError):
                await alog.append("x", **bad)  # type: ignore[arg-type]
            with pytest.raises(DuraLogConfigurationError):
                await alog.append_many(["x"], **bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await alog.append(None)  # type: ignore[arg-type]
        with pytest.raises(DuraLogConfigurationError, match="no append has returned"):
            await alog.wait(alog.committed_lsn + 1)
        with pytest.raises(TypeError):
            await alog.wait("1")  # type: ignore[arg-type]
        assert [record async for record in alog.replay()] == []

    run(main())


def test_an_option_beside_an_open_log_is_refused(log: DuraLog) -> None:
    with pytest.raises(TypeError):
        AsyncDuraLog(log, create=False)


# ---- A full ring ---------------------------------------------------------------------------------


def test_a_full_ring_suspends_the_coroutine_and_not_the_loop(
    run: Run, idle_alog: AsyncDuraLog
) -> None:
    async def main() -> None:
        count = fill(idle_alog)
        appends = await suspended(*(idle_alog.append(f"late {n}") for n in range(50)))
        many = await suspended(idle_alog.append_many(["z" * 1000] * 3000))
        assert len(waiting_threads()) == 1
        serve(idle_alog)
        lsns = await asyncio.gather(*appends, *many)
        assert len(set(lsns)) == 51
        await idle_alog.sync(timeout=120)
        with DuraLog(idle_alog.path) as other:
            records = list(other.replay())
        assert len(records) == count + 50 + 3000
        assert sum(record == "z" * 1000 for record in records) == 3000
        assert [r for r in records if r[:4] == "late"] == [f"late {n}" for n in range(50)]

    run(main())


def test_a_full_ring_is_waited_for_as_long_as_was_said(run: Run, idle_alog: AsyncDuraLog) -> None:
    async def main() -> None:
        fill(idle_alog)
        with pytest.raises(DuraLogTimeoutError, match="no room") as at_once:
            await idle_alog.append("x" * 1000, timeout=0)
        with pytest.raises(DuraLogTimeoutError, match=r"gave up after 0\.05 s.*no room") as later:
            await idle_alog.append("x" * 1000, timeout=0.05)
        for caught in (at_once, later):
            assert caught.value.errno == errno.ETIMEDOUT
            assert caught.value.lsn is None
        with pytest.raises(DuraLogTimeoutError) as part:
            await idle_alog.append_many(["x" * 1000] * 2000, timeout=0.05)
        assert part.value.appended == 0

    run(main())


def test_append_many_says_how_many_found_room(run: Run, idle_alog: AsyncDuraLog) -> None:
    async def main() -> None:
        with pytest.raises(DuraLogTimeoutError) as caught:
            await idle_alog.append_many((b"x" * 50 for _ in range(5000)), timeout=0.05)
        serve(idle_alog)
        await idle_alog.sync(timeout=120)
        with DuraLog(idle_alog.path) as other:
            assert caught.value.appended == len(list(other.replay())) > 0

    run(main())


def test_cancelled_for_want_of_room_nothing_is_appended(run: Run, idle_alog: AsyncDuraLog) -> None:
    async def main() -> None:
        count = fill(idle_alog)
        (task,) = await suspended(idle_alog.append("never"))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        serve(idle_alog)
        await idle_alog.sync(timeout=120)
        with DuraLog(idle_alog.path) as other:
            assert len(list(other.replay())) == count

    run(main())


# ---- Time-outs and cancellation ------------------------------------------------------------------


def test_a_wait_that_times_out_says_where_the_record_is(run: Run, idle_alog: AsyncDuraLog) -> None:
    async def main() -> None:
        for timeout in (0, 0.05):
            with pytest.raises(DuraLogTimeoutError, match="gave up after") as caught:
                await idle_alog.append("x", level="durable", timeout=timeout)
            assert caught.value.appended == 1
            assert caught.value.lsn == idle_alog.committed_lsn
        with pytest.raises(DuraLogTimeoutError, match="was not durable"):
            await idle_alog.wait(idle_alog.committed_lsn, timeout=0.05)
        with pytest.raises(DuraLogTimeoutError):
            await idle_alog.sync(timeout=0)
        with pytest.raises(DuraLogTimeoutError) as many:
            await idle_alog.append_many(["x"] * 7, level="durable", timeout=0.05)
        assert many.value.appended == 7
        assert many.value.lsn == idle_alog.committed_lsn

    run(main())


def test_a_wait_that_was_cancelled_leaves_the_others_alone(
    run: Run, idle_alog: AsyncDuraLog
) -> None:
    async def main() -> None:
        tasks = await suspended(*(idle_alog.append(str(n), level="durable") for n in range(100)))
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        serve(idle_alog)
        results = await outcomes(tasks)
        assert all(isinstance(each, asyncio.CancelledError) for each in results[::2])
        assert all(isinstance(each, int) for each in results[1::2])
        with DuraLog(idle_alog.path) as other:
            assert list(other.replay()) == [str(n) for n in range(100)]

    run(main())


def test_waits_that_ended_too_early_take_no_room(run: Run, idle_alog: AsyncDuraLog) -> None:
    """Nothing becomes durable here, so each of them stays the lowest."""
    from duralog import _waiting

    async def main() -> None:
        lsn = await idle_alog.append("never durable")
        (lasting,) = await suspended(idle_alog.wait(lsn))
        for _ in range(20):
            waits = (idle_alog.wait(lsn, timeout=0.001) for _ in range(50))
            results = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(each, DuraLogTimeoutError) for each in results)
        inbox = _waiting.watch().inbox(idle_alog._log, "durable", asyncio.get_running_loop())
        assert len(inbox._waits) <= 100
        lasting.cancel()
        await asyncio.wait([lasting])
        assert inbox._waits == []

    run(main())


# ---- What goes wrong reaches everybody -----------------------------------------------------------


def test_a_flusher_that_was_killed_is_replaced(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        for _ in range(3):
            await alog.append("before", level="durable", timeout=120)
            os.kill(flusher_of(alog), signal.SIGKILL)
            lsns = await asyncio.gather(
                *(alog.append("after", level="durable", timeout=120) for _ in range(100))
            )
            assert alog.durable_lsn >= max(lsns)

    run(main())


def flusher_of(log: AsyncDuraLog) -> int:
    command = [COMMAND, "status", log.path, "--json"]
    status = subprocess.run(command, check=True, capture_output=True)
    pid: int = json.loads(status.stdout)["flusher"]["pid"]
    return pid


@pytest.fixture
def held_flusher(alog: AsyncDuraLog) -> Iterator[int]:
    """A flusher that does nothing for now."""
    alog._log.append("first", level="durable", timeout=120)
    pid = flusher_of(alog)
    os.kill(pid, signal.SIGSTOP)
    yield pid
    os.kill(pid, signal.SIGCONT)


def test_a_flusher_that_is_told_to_stop_reaches_all(
    run: Run, alog: AsyncDuraLog, held_flusher: int
) -> None:
    async def main() -> None:
        lsns = [await alog.append(str(n)) for n in range(20)]
        tasks = await suspended(*(alog.wait(lsn) for lsn in lsns), alog.sync())
        os.kill(held_flusher, signal.SIGTERM)
        os.kill(held_flusher, signal.SIGCONT)
        # It writes what is committed before it ends: who is told first of the two is open.
        for result in await outcomes(tasks):
            assert result is None or result.errno == errno.ESHUTDOWN
        await asyncio.get_running_loop().run_in_executor(None, stop, Path(alog.path))
        with pytest.raises(DuraLogIOError) as caught:
            await alog.append("nobody serves", timeout=120)
        assert caught.value.errno == errno.ESHUTDOWN
        with pytest.raises(DuraLogIOError):
            await alog.append_many(["nobody serves"], timeout=120)

    run(main())


def test_a_device_that_fails_reaches_all(run: Run, alog: AsyncDuraLog, held_flusher: int) -> None:
    """The flusher's writes fail from now on, as strace has it."""
    calls = "pwrite64,pwritev,pwritev2,write,fdatasync,fsync"

    async def main() -> None:
        tasks = await suspended(*(alog.append(str(n), level="durable") for n in range(20)))
        with subprocess.Popen(
            ["strace", "-f", "-p", str(held_flusher), "-e", f"inject={calls}:error=EIO"],
            stderr=subprocess.PIPE,
        ) as strace:
            assert strace.stderr is not None
            assert b"attached" in strace.stderr.readline()
            reading = threading.Thread(target=strace.stderr.read)
            reading.start()
            os.kill(held_flusher, signal.SIGCONT)
            results = await outcomes(tasks)
            os.kill(held_flusher, signal.SIGKILL)
            reading.join()
        assert len({id(error) for error in results}) == 20
        for number, error in enumerate(results):
            assert isinstance(error, DuraLogIOError)
            assert error.errno == errno.EIO
            assert (error.appended, error.lsn) == (1, alog.durable_lsn + 64 * (number + 1))
            assert "frozen" in str(error)
        serve(alog)
        await alog.sync(timeout=120)

    run(main())


def test_closing_reaches_all(run: Run, idle_alog: AsyncDuraLog) -> None:
    async def main() -> None:
        lsn = await idle_alog.append("never durable")
        tasks = await suspended(*(idle_alog.wait(lsn) for _ in range(20)))
        await idle_alog.close()
        assert all(isinstance(each, DuraLogClosedError) for each in await outcomes(tasks))
        await idle_alog.close()
        with pytest.raises(DuraLogClosedError):
            await idle_alog.append("x")
        with pytest.raises(DuraLogClosedError):
            async with idle_alog:
                pass

    run(main())


def test_leaving_the_block_has_all_durable(run: Run, path: Path) -> None:
    async def main() -> None:
        async with AsyncDuraLog(path) as log:
            lsn = await log.append("x")
            uuid = log.uuid
        assert "closed" in repr(log)
        with DuraLog(path) as other:
            assert other.durable_lsn >= lsn
            assert (other.path, other.uuid) == (log.path, uuid)

    run(main())


def test_closing_gives_up_in_time_and_is_closed_all_the_same(run: Run, path: Path) -> None:
    async def main() -> None:
        log = AsyncDuraLog(path)
        await log.append("x", level="durable", timeout=120)
        pid = flusher_of(log)
        os.kill(pid, signal.SIGSTOP)
        await log.append("y")
        with pytest.raises(DuraLogTimeoutError):
            await log.close(timeout=0.05)
        assert "closed" in repr(log)
        os.kill(pid, signal.SIGCONT)

    run(main())


# ---- Reading -------------------------------------------------------------------------------------


def test_replay_ends_with_what_was_there_before_the_call(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        await alog.append_many(map(str, range(3000)))
        replay = alog.replay()
        middle = await alog.append("after")
        assert [record async for record in replay] == list(map(str, range(3000)))
        await alog.append("last")
        assert [record async for record in alog.replay(middle)] == ["last"]
        async for record in alog.replay():
            assert record == "0"
            break
        with pytest.raises(DuraLogConfigurationError):
            async for _ in alog.replay(alog.committed_lsn + 64):
                pass

    run(main())


def test_replay_and_follow_yield_what_their_options_ask_for(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        lsn = await alog.append("text", level="durable", timeout=120)
        forms = [(lsn, "text"), (2, b"text"), (lsn, (2, b"text"))]
        options: list[Any] = [{"with_lsn": True}, {"raw": True}, {"with_lsn": True, "raw": True}]
        for expected, option in zip(forms, options):
            assert [each async for each in alog.replay(**option)] == [expected]
            async for each in alog.follow(0, **option):
                assert each == expected
                break

    run(main())


async def first(count: int, records: AsyncGenerator[Any, None]) -> list[Any]:
    found = []
    async for record in records:
        found.append(record)
        if len(found) == count:
            break
    await records.aclose()
    return found


def test_followers_see_what_comes_and_what_was_there(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        await alog.append_many(map(str, range(3000)))
        new = alog.follow()  # begins here, though it is not asked yet
        old = alog.follow(0)
        lsn = await alog.append("new")
        assert await first(1, new) == ["new"]
        assert await first(3001, old) == [*map(str, range(3000)), "new"]
        assert await first(1, alog.follow(lsn - 64)) == ["new"]
        with pytest.raises(DuraLogConfigurationError):
            alog.follow(alog.committed_lsn + 64)

    run(main())


def test_many_followers_wait_by_means_of_one_thread(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        followers = [asyncio.ensure_future(first(20, alog.follow())) for _ in range(50)]
        for n in range(10):
            await alog.append(f"committed {n}")
            await alog.append(f"durable {n}", level="durable", timeout=120)
            assert len(waiting_threads()) <= 1
        expected = [f"{level} {n}" for n in range(10) for level in ("committed", "durable")]
        assert await asyncio.gather(*followers) == [expected] * 50

    run(main())


def test_a_follower_does_not_keep_others_from_replacing_the_flusher(
    run: Run, alog: AsyncDuraLog
) -> None:
    async def main() -> None:
        follower = asyncio.ensure_future(first(2, alog.follow()))
        await alog.append("before", level="durable", timeout=120)
        os.kill(flusher_of(alog), signal.SIGKILL)
        await alog.append("after", level="durable", timeout=120)
        assert await follower == ["before", "after"]

    run(main())


def test_a_follower_goes_on_when_the_log_is_served_again(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        (follower,) = await suspended(first(1, alog.follow()))
        await asyncio.get_running_loop().run_in_executor(None, stop, Path(alog.path))
        serve(alog)
        await alog.append("again")
        assert await follower == ["again"]

    run(main())


def test_followers_end_with_their_handle_or_their_task(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        closed, cancelled = await suspended(first(1, alog.follow()), first(1, alog.follow()))
        while not waiting_threads():
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await alog.close()
        results = await outcomes([closed, cancelled])
        assert isinstance(results[0], DuraLogClosedError)
        assert isinstance(results[1], asyncio.CancelledError)
        with pytest.raises(DuraLogClosedError):
            alog.follow()

    run(main())


def test_damage_comes_behind_all_that_precedes_it(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        for n in range(20):
            await alog.append(str(n), level="durable", timeout=120)
        (segment, *_) = sorted(Path(alog.path, "segments").glob("*.seg"))
        whole = segment.read_bytes()
        with open(segment, "r+b") as file:
            file.seek(whole.index(b"10", 4096 * 8))
            file.write(b"!")
        found: list[str] = []

        async def read() -> None:
            async for record in alog.replay():
                found.append(record)

        with pytest.raises(DuraLogCorruptionError):
            await read()
        assert 0 < len(found) < 20
        assert found == list(map(str, range(len(found))))
        segment.write_bytes(whole)

    run(main())


# ---- Forks and ends ------------------------------------------------------------------------------


def test_a_forked_child_has_a_loop_and_a_thread_of_its_own(run: Run, alog: AsyncDuraLog) -> None:
    async def child() -> None:
        await asyncio.gather(*(alog.append("child", level="durable") for _ in range(100)))
        assert len(waiting_threads()) == 1

    async def main() -> None:
        appends = [alog.append("parent", level="durable", timeout=120) for _ in range(100)]
        tasks = [asyncio.ensure_future(each) for each in appends]
        await asyncio.sleep(0)
        children = [in_child(lambda: run(child())) for _ in range(3)]
        await asyncio.gather(*tasks)
        assert all(succeeded(each) for each in children)

    run(main())
    assert sorted(alog._log.replay()) == ["child"] * 300 + ["parent"] * 100


def test_it_pickles_as_path_and_options(run: Run, alog: AsyncDuraLog) -> None:
    async def main() -> None:
        async with pickle.loads(pickle.dumps(alog)) as other:
            assert other.path == alog.path
            await other.append("from the copy", level="durable", timeout=120)
        assert [record async for record in alog.replay()] == ["from the copy"]

    run(main())


ENDS = {
    "the loop ends": """
async def main():
    tasks = [asyncio.ensure_future(log.wait(lsn)) for _ in range(100)]
    await asyncio.sleep(0.01)
    end()
asyncio.run(main())
""",
    "the main thread ends": """
async def main():
    waits = asyncio.gather(*(log.wait(lsn) for _ in range(100)))
    await asyncio.sleep(0.01)
    begun.set()
    await waits
begun = threading.Event()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
begun.wait()
end()
""",
    "a loop is left behind": """
loop = asyncio.new_event_loop()
async def main():
    global tasks
    tasks = [asyncio.ensure_future(log.wait(lsn)) for _ in range(100)]
    await asyncio.sleep(0.01)
loop.run_until_complete(main())
for task in tasks:
    task.cancel()
loop.run_until_complete(asyncio.wait(tasks))
end()
""",
}


@pytest.mark.parametrize("end", ["", "sys.exit()", "raise KeyboardInterrupt", "del log"])
@pytest.mark.parametrize("name", ENDS)
def test_the_interpreter_ends_while_coroutines_wait(path: Path, name: str, end: str) -> None:
    head = """
import asyncio, sys, threading
from duralog import AsyncDuraLog
log = AsyncDuraLog(sys.argv[1], ring_bytes=1 << 16, flusher=False)
lsn = log._log.append("never durable")
def end():
    global log
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{head}{end or 'pass'}\n{ENDS[name]}", path],
        env={**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if end.startswith("raise"):
        assert "KeyboardInterrupt" in done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_thread_without_work_ends(
    run: Run, alog: AsyncDuraLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from duralog import _waiting

    monkeypatch.setattr(_waiting, "IDLE_S", 0.01)

    async def main() -> None:
        for _ in range(3):
            await alog.append("x", level="durable", timeout=120)
            for thread in waiting_threads():
                await asyncio.get_running_loop().run_in_executor(None, thread.join)
            assert waiting_threads() == []

    run(main())


def test_the_package_does_not_import_asyncio_by_itself() -> None:
    code = "import sys, duralog; assert not {'asyncio', 'logging'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyduralog")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
