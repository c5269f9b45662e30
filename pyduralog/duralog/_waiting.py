# SPDX-License-Identifier: MIT
"""One thread that waits for all logs of this process, on behalf of any number of coroutines.

A Watch is the thread; a process has one. An Inbox holds the waits of one event loop at one handle
and level, in a heap, and asks the thread for the lowest LSN alone. The thread waits for what all
inboxes ask for, in one call of the library. When something is reached it tells that inbox's loop
once how far the log has come, and the loop itself finds out whom that serves. So the thread does
work for each loop, not for each coroutine, and no lock is held for long or by a coroutine.

A new wait, and a handle that is closed, end that call at once, by a word that it waits for too. A
log whose device hangs holds up nobody else; nor does one whose flusher has died, since another
thread starts the new one and ends then.

Who follows the log waits for what nobody has appended yet, and has an inbox apart: neither a stop
nor a failed device ends such a wait. A ring that was truncated does.

Knows DuraLog, the library's shmwal_wait_any, asyncio's futures. Changes with how coroutines wait.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import errno
import os
import threading
from asyncio import AbstractEventLoop, Future
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from . import _native
from ._arguments import LEVELS, NS_PER_S, Level
from ._errors import DuraLogError, DuraLogTimeoutError
from ._log import DuraLog

LOOK_S = 1.0  # as long a loop that was closed keeps its log from being let go
IDLE_S = 10.0  # a thread without work ends then; to start one takes longer than to wake one
START_S = 0.001  # so long a flusher's successor waits before it sees that there is none


class Wait(NamedTuple):
    """What one coroutine waits for. Ordered by LSN, then by age."""

    lsn: int
    number: int
    future: Future[None]

    def fail(self, error: Exception) -> None:
        """With an error of its own: raising one adds to its traceback."""
        if not self.future.done():
            self.future.set_exception(copy.copy(error))


class Inbox:
    """The waits of one event loop's coroutines at one handle and level, followers apart from the
    others. Touched by the loop's thread alone, but for what never changes: log, level, loop,
    follows."""

    def __init__(
        self, watch: Watch, log: DuraLog, level: Level, loop: AbstractEventLoop, follows: bool
    ) -> None:
        self.log = log
        self.level: Level = level
        self.loop = loop
        self.follows = follows
        self._watch = watch
        self._waits: list[Wait] = []
        self._numbers = count()
        self._abandoned = 0  # waits whose coroutine has gone; they leave the heap by and by

    def add(self, lsn: int) -> Future[None]:
        """A future for when the level has reached `lsn`."""
        wait = Wait(lsn, next(self._numbers), self.loop.create_future())
        heappush(self._waits, wait)
        if self._waits[0] is wait:
            try:
                self._watch.ask(self, wait)
            except RuntimeError:  # no thread can be had
                wait.future.cancel()
                self.abandon()
                raise
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

    def deliver(self, reached: int, error: Exception | None) -> None:
        """Called in the loop: the level has come so far, or what was asked for failed. What fails
        for one wait at the handle fails for all of them."""
        waits = self._waits
        while waits and waits[0].lsn <= reached:
            self._settle(heappop(waits))
        if error is not None:
            failed, self._waits, self._abandoned = waits, [], 0
            for wait in failed:
                wait.fail(error)
        self._ask_for_next()

    def _settle(self, wait: Wait) -> None:
        if wait.future.done():
            self._abandoned -= 1
        else:
            wait.future.set_result(None)

    def _ask_for_next(self) -> None:
        if self._waits:
            self._watch.ask(self, self._waits[0])
        else:
            self._watch.leave(self)


class Watch:
    """The thread. It runs while there is something to wait for, and some seconds longer."""

    def __init__(self) -> None:
        self._native = _native.library()
        self._inboxes: dict[tuple[DuraLog, Level, AbstractEventLoop, bool], Inbox] = {}
        self._asked: dict[Inbox, Wait] = {}
        self._starting: set[DuraLog] = set()  # those whose flusher is being started
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._word = ctypes.c_uint32()  # whoever changes it ends the thread's call
        self._address = ctypes.addressof(self._word)
        self._asleep = False  # the thread has chosen, and may be in its call

    def inbox(
        self, log: DuraLog, level: Level, loop: AbstractEventLoop, follows: bool = False
    ) -> Inbox:
        key = log, level, loop, follows
        with self._lock:
            inbox = self._inboxes.get(key)
            if inbox is None:
                inbox = self._inboxes[key] = Inbox(self, *key)
                log._on_close = wake
            return inbox

    def ask(self, inbox: Inbox, wait: Wait) -> None:
        """Wait for this one; it is the inbox's lowest."""
        with self._lock:
            self._asked[inbox] = wait
            if self._thread is None:
                # A daemon, so that the interpreter may end while somebody waits for ever.
                thread = threading.Thread(target=self._run, name="duralog", daemon=True)
                thread.start()
                self._thread = thread
            elif self._asleep:
                self._asleep = False
                self.wake()

    def wake(self) -> None:
        """Without the lock: a fork may have left it locked."""
        self._native.wake(self._address)

    def leave(self, inbox: Inbox) -> None:
        """Nobody waits there any more."""
        with self._lock:
            self._forget(inbox)

    def _forget(self, inbox: Inbox) -> None:
        self._asked.pop(inbox, None)
        key = inbox.log, inbox.level, inbox.loop, inbox.follows
        if self._inboxes.get(key) is inbox:
            del self._inboxes[key]

    def _run(self) -> None:
        while True:
            seen, asked = self._choose()
            if asked:
                self._attempt(seen, asked)
            elif self._call(None, 0, IDLE_S, seen) == -errno.ETIMEDOUT and self._end():
                return

    def _choose(self) -> tuple[int, list[tuple[Inbox, Wait]]]:
        """What to wait for, and what the word was before: who asks later changes it."""
        with self._lock:
            for inbox in [each for each in self._asked if each.loop.is_closed()]:
                self._forget(inbox)
            self._asleep = True
            return self._word.value, list(self._asked.items())

    def _end(self) -> bool:
        with self._lock:
            if not self._asked:
                self._thread = None
            return self._thread is None

    def _call(
        self, targets: ctypes.Array[_native.Target] | None, number: int, timeout: float, seen: int
    ) -> int:
        status: int = self._native.wait_any(
            targets, number, int(timeout * NS_PER_S), self._address, seen
        )
        return status

    def _attempt(self, seen: int, asked: list[tuple[Inbox, Wait]]) -> None:
        targets = (_native.Target * len(asked))()
        handles = [inbox.log._handle for inbox, _ in asked]  # kept while the library uses them
        for target, handle, (inbox, wait) in zip(targets, handles, asked):
            if handle is not None:  # else it was closed, and NULL is refused
                target.log, target.private_check_ns = handle.value, handle.check_ns
            target.lsn, target.level = wait.lsn, LEVELS[inbox.level]
            target.flags = _native.AHEAD if inbox.follows else _native.NO_START
        self._call(targets, len(asked), LOOK_S, seen)
        for target, handle, (inbox, _) in zip(targets, handles, asked):
            if handle is not None and not inbox.follows:
                handle.check_ns = 0 if target.result == 0 else target.private_check_ns
        # An error that is told next has this frame in its traceback, and may live for a while.
        handle = None
        handles.clear()
        for target, (inbox, wait) in zip(targets, asked):
            self._conclude(target.result, inbox, wait)

    def _conclude(self, result: int, inbox: Inbox, wait: Wait) -> None:
        if result == 0:
            self._tell(inbox, wait, None)
        elif result == -errno.EOWNERDEAD:
            self._start_flusher(inbox, wait)
        elif inbox.follows and result not in (-errno.EINPROGRESS, -errno.EIO):
            self._look(inbox, wait, 0.0, 0)
        elif result != -errno.EINPROGRESS:  # of a ring that is lost, whoever asks for whatever
            self._look(inbox, wait, 0.0, wait.lsn)

    def _start_flusher(self, inbox: Inbox, wait: Wait) -> None:
        """In a thread for this alone: the log's device may hang."""
        log = inbox.log

        def start() -> None:
            self._look(inbox, wait, START_S, wait.lsn)
            self._starting.discard(log)

        if log not in self._starting:
            self._starting.add(log)
            thread = threading.Thread(target=start, name="duralog starts a flusher", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # none can be had: the other logs wait for this one
                start()

    def _look(self, inbox: Inbox, wait: Wait, timeout: float, lsn: int) -> None:
        """Tells the inbox if the handle's own wait for `lsn` fails, which has the error. It starts
        a flusher if there is none when the time is over."""
        try:
            inbox.log.wait(lsn, timeout, inbox.level)
        except DuraLogTimeoutError:
            pass
        except Exception as error:
            self._tell(inbox, wait, error)

    def _tell(self, inbox: Inbox, wait: Wait, error: Exception | None) -> None:
        with self._lock:
            if self._asked.get(inbox) is wait:
                del self._asked[inbox]
        reached = 0
        if error is None:
            reached = wait.lsn
            with contextlib.suppress(DuraLogError):  # closed meanwhile
                reached = max(reached, watermark(inbox.log, inbox.level))
        try:
            inbox.loop.call_soon_threadsafe(inbox.deliver, reached, error)
        except RuntimeError:  # the loop is closed, and with it all that waited there
            self.leave(inbox)


def watermark(log: DuraLog, level: Level) -> int:
    if level == "durable":
        return log.durable_lsn
    return log.committed_lsn if level == "committed" else 0


# ---- The process's watch -------------------------------------------------------------------------

_watches: list[Watch] = []  # at most one
_making = threading.Lock()


def watch() -> Watch:
    with _making:
        if not _watches:
            _watches.append(Watch())
        return _watches[0]


def wake() -> None:
    """The thread chooses anew."""
    for each in _watches:
        each.wake()


def _begin_anew() -> None:
    """A child has neither the threads nor the running loops of its parent, and a lock that a thread
    of the parent held would stay locked here for ever."""
    global _making
    _making = threading.Lock()
    _watches.clear()


os.register_at_fork(after_in_child=_begin_anew)
