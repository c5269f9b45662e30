# SPDX-License-Identifier: MIT
"""One thread that waits for a log, on behalf of any number of coroutines.

A Watch is the thread, one for each log and level that coroutines of this process wait for: so in a
program with one log there is one. It always waits for the lowest LSN that anybody wants. When that
is reached it tells each event loop once how far the log has come, and the loop itself finds out
whom that serves: an Inbox holds the waits of one loop at one handle, in a heap. So the thread does
work for each loop, not for each coroutine, and no lock is held for long or by a coroutine.

Who follows the log waits for what nobody has appended yet, which the handle refuses to wait for;
such a wait brings an attempt of its own, and gets the thread when no other wait needs it: whatever
they wait for is an end of their own.

Logs do not share a thread: one whose device hangs would hold up the others.

Knows DuraLog's public methods, asyncio's futures. Changes with how coroutines wait.
"""

from __future__ import annotations

import copy
import os
import threading
from asyncio import AbstractEventLoop, Future
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Callable, NamedTuple

from ._arguments import Level
from ._errors import DuraLogTimeoutError
from ._log import DuraLog

# As long the thread looks at nothing else: a lower LSN than the one it waits for, or a handle that
# was closed, is noticed so late.
SLICE_S = 0.1
IDLE_S = 10.0  # a thread without work ends then; to start one takes longer than to wake one


class Wait(NamedTuple):
    """What one coroutine waits for. Ordered by LSN, then by age."""

    lsn: int
    number: int
    future: Future[None]
    attempt: Callable[[float], None] | None  # a follower's, in place of the handle's own wait

    def fail(self, error: Exception) -> None:
        """With an error of its own: raising one adds to its traceback."""
        if not self.future.done():
            self.future.set_exception(copy.copy(error))


class Inbox:
    """The waits of one event loop's coroutines at one handle, followers apart from the others.
    Touched by the loop's thread alone, but for what never changes: log, loop, follows."""

    def __init__(self, watch: Watch, log: DuraLog, loop: AbstractEventLoop, follows: bool) -> None:
        self.log = log
        self.loop = loop
        self.follows = follows
        self._watch = watch
        self._waits: list[Wait] = []
        self._numbers = count()
        self._abandoned = 0  # waits whose coroutine has gone; they leave the heap by and by

    def add(self, lsn: int, attempt: Callable[[float], None] | None = None) -> Future[None]:
        """A future for when the level has reached `lsn`."""
        wait = Wait(lsn, next(self._numbers), self.loop.create_future(), attempt)
        heappush(self._waits, wait)
        if self._waits[0] is wait:
            self._watch.ask(self, wait)
        return wait.future

    def abandon(self) -> None:
        """One of the waits is no longer wanted: cancelled, or out of time. Once they are half of
        all they are thrown out, so that none costs more than its share."""
        self._abandoned += 1
        if self._abandoned * 2 > len(self._waits):
            self._waits = [wait for wait in self._waits if not wait.future.done()]
            heapify(self._waits)
            self._abandoned = 0
            self._ask_for_next()

    def deliver(self, reached: int, error: Exception | None, asked: Wait) -> None:
        """Called in the loop: the level has come so far, or the wait that was asked for failed."""
        waits = self._waits
        while waits and waits[0].lsn <= reached:
            self._settle(heappop(waits))
        if error is not None:
            self._fail(error, asked)
        self._ask_for_next()

    def _settle(self, wait: Wait) -> None:
        if wait.future.done():
            self._abandoned -= 1
        else:
            wait.future.set_result(None)

    def _fail(self, error: Exception, asked: Wait) -> None:
        """What fails for one wait at the handle fails for all of them, but for a follower's."""
        failed = [wait for wait in self._waits if wait.attempt is asked.attempt]
        self._waits = [wait for wait in self._waits if wait.attempt is not asked.attempt]
        heapify(self._waits)
        for wait in failed:
            self._abandoned -= wait.future.done()
            wait.fail(error)

    def _ask_for_next(self) -> None:
        if self._waits:
            self._watch.ask(self, self._waits[0])
        else:
            self._watch.leave(self)


class Watch:
    """The thread. It runs while there is something to wait for, and some seconds longer."""

    def __init__(self, key: tuple[str, Level]) -> None:
        self._key = key
        self._inboxes: dict[tuple[DuraLog, AbstractEventLoop, bool], Inbox] = {}
        self._asked: dict[Inbox, Wait] = {}
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None

    def inbox(self, log: DuraLog, loop: AbstractEventLoop, follows: bool = False) -> Inbox:
        key = log, loop, follows
        with self._changed:
            inbox = self._inboxes.get(key)
            if inbox is None:
                inbox = self._inboxes[key] = Inbox(self, *key)
            return inbox

    def ask(self, inbox: Inbox, wait: Wait) -> None:
        """Wait for this one; it is the inbox's lowest."""
        with self._changed:
            self._asked[inbox] = wait
            if self._thread is not None:
                self._changed.notify()
                return
            # A daemon, so that the interpreter may end while somebody waits for ever.
            name = f"duralog {self._key[0]}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            thread.start()
            self._thread = thread

    def leave(self, inbox: Inbox) -> None:
        """Nobody waits there any more."""
        with self._changed:
            self._forget(inbox)

    def _forget(self, inbox: Inbox) -> None:
        self._asked.pop(inbox, None)
        key = inbox.log, inbox.loop, inbox.follows
        if self._inboxes.get(key) is inbox:
            del self._inboxes[key]

    def _run(self) -> None:
        while (chosen := self._choose()) is not None:
            inbox, wait = chosen
            reached, error = self._attempt(inbox.log, wait)
            self._tell(reached, error, inbox, wait)

    def _choose(self) -> tuple[Inbox, Wait] | None:
        with self._changed:
            for inbox in [each for each in self._asked if each.loop.is_closed()]:
                self._forget(inbox)
            if not self._asked:
                self._changed.wait(IDLE_S)
            if not self._asked:
                self._thread = None
                return None
            return min(self._asked.items(), key=lambda item: (item[0].follows, item[1].lsn))

    def _attempt(self, log: DuraLog, wait: Wait) -> tuple[int, Exception | None]:
        """Waits for a slice. How far the level has come, and what went wrong."""
        level = self._key[1]
        try:
            try:
                if wait.attempt is None:
                    log.wait(wait.lsn, SLICE_S, level)
                    return max(wait.lsn, watermark(log, level)), None
                wait.attempt(SLICE_S)
            except DuraLogTimeoutError:
                pass
            return watermark(log, level), None
        except Exception as error:
            return 0, error

    def _tell(self, reached: int, error: Exception | None, inbox: Inbox, wait: Wait) -> None:
        with self._changed:
            served = {each: asked for each, asked in self._asked.items() if asked.lsn <= reached}
            if error is not None:
                served[inbox] = wait
            for each in served:
                self._asked.pop(each, None)
        for each, asked in served.items():
            failure = error if each is inbox else None
            try:
                each.loop.call_soon_threadsafe(each.deliver, reached, failure, asked)
            except RuntimeError:  # the loop is closed, and with it all that waited there
                self.leave(each)


def watermark(log: DuraLog, level: Level) -> int:
    if level == "durable":
        return log.durable_lsn
    return log.committed_lsn if level == "committed" else 0


# ---- The process's watches -----------------------------------------------------------------------

_watches: dict[tuple[str, Level], Watch] = {}


def watch(log: DuraLog, level: Level) -> Watch:
    key = log.path, level
    found = _watches.get(key)
    return found if found is not None else _watches.setdefault(key, Watch(key))


# A child has neither the threads nor the running loops of its parent, and a lock that a thread of
# the parent held would stay locked here for ever.
os.register_at_fork(after_in_child=_watches.clear)
