"""One thread that writes: it takes all callers that wait, has them committed together, and answers them.

Under load the cost of a commit is shared, and with one caller nothing waits. How a group is carried out is up to the
dialect: it sets each call's ``result`` or ``error``. Where a commit takes less time than waking another thread, a caller may
also do it itself while the writer has nothing to do (`GroupCommit.write_few`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from msgspec import Struct
from sqlalchemy import Connection

from waystation.errors import Unavailable
from waystation.futures import tell

__all__ = ["CAREFUL_GROUPS", "Call", "GroupCommit"]

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger("waystation.storage")

GROUP = 256
"""Callers committed together at most: bounds the time the first one waits for the last."""

CAREFUL_GROUPS = 100
"""Groups with a savepoint for each caller after a caller has failed. Otherwise a group does without, which spares every caller two
statements, and is taken back for a caller that fails: what it had done so far is done again."""

SLOW_S = 0.01
"""A commit on the caller's own thread that takes longer is one too many: a caller may be an event loop."""

AVOID_S = 2
"""How long callers leave everything to the writer's thread after that."""

LOOK_EVERY = 16
"""Commits by callers after which the writer's thread gets its chance to do what comes `afterwards`."""


class Call(Struct):
    """A function waiting for the writer, and where its answer goes: to a loop's future or to a thread's."""

    run: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop | None
    future: Any
    repeatable: bool = False
    """It may be run again after it has been committed."""
    result: Any = None
    error: BaseException | None = None


class GroupCommit:
    """The writer thread. `commit` is called on it with each group, and `afterwards` once the group's callers have been told.

    `commit_now` lets callers commit on their own threads, which happens while nobody else commits: it carries out one call if it
    need not wait for another process, and returns whether it did."""

    def __init__(
        self,
        commit: Callable[[list[Call]], None],
        afterwards: Callable[[], None] = lambda: None,
        commit_now: Callable[[Call], bool] | None = None,
    ) -> None:
        self._commit = commit
        self._afterwards = afterwards
        self._commit_now = commit_now
        self._calls: deque[Call] = deque()
        self._enqueueing = threading.Lock()
        self._committing = threading.Lock()
        self._awake = threading.Lock()
        """Free when the writer's thread has something to look at."""
        self._awake.acquire()
        self._avoid_until = 0.0
        self._closed = False
        self.calls = 0
        self.groups = 0
        self._thread = threading.Thread(target=self._loop, name="waystation-writer", daemon=True)
        self._thread.start()

    def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """See `Database.write`."""
        call = _call(lambda conn: fn(conn, *args, **kwargs))
        self._enqueue(call)
        return call.future  # type: ignore[no-any-return]

    def write_few(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """See `Database.write_few`."""
        call = _call(lambda conn: fn(conn, *args, **kwargs))
        if self._committed_now(call):
            _resolve([call])
        else:
            self._enqueue(call)
        return call.future  # type: ignore[no-any-return]

    def post(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `Database.post`."""
        return self._post(lambda conn: fn(conn, *args, **kwargs))

    def post_repeatable(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """See `Database.post_repeatable`."""
        return self._post(lambda conn: fn(conn, *args, **kwargs), repeatable=True)

    def _post(self, run: Callable[[Connection], T], *, repeatable: bool = False) -> Future[T]:
        future: Future[T] = Future()
        self._enqueue(Call(run, None, future, repeatable))
        return future

    @property
    def waiting(self) -> int:
        """Callers that no group has taken yet."""
        return len(self._calls)

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Carry out what is queued, take nothing more, and end the thread. On a plain thread."""
        with self._enqueueing:
            self._closed = True
        self._wake()
        self._thread.join()
        with self._committing:  # wait for a caller that commits just now
            pass

    def _enqueue(self, call: Call) -> None:
        with self._enqueueing:
            if self._closed:
                raise Unavailable("the database is closing")
            self._calls.append(call)
        self._wake()

    def _wake(self) -> None:
        if self._awake.locked():
            with contextlib.suppress(RuntimeError):  # somebody else was quicker
                self._awake.release()

    def _committed_now(self, call: Call) -> bool:
        """Whether `call` was carried out on this thread, which it is only if everything queued before has been."""
        began = time.monotonic()
        if self._commit_now is None or began < self._avoid_until or not self._committing.acquire(blocking=False):
            return False
        try:
            if self._calls or self._closed or not self._commit_now(call):
                return False
            self.calls += 1
            self.groups += 1
        finally:
            self._committing.release()
        if time.monotonic() - began > SLOW_S:
            self._avoid_until = time.monotonic() + AVOID_S
        if self.groups % LOOK_EVERY == 0:
            self._wake()
        return True

    def _loop(self) -> None:
        while not (self._closed and not self._calls):
            self._awake.acquire()
            if not self._calls:
                with self._committing:
                    self._afterwards()
            while self._calls:
                with self._committing:
                    group = [self._calls.popleft() for _ in range(min(GROUP, len(self._calls)))]
                    self.calls += len(group)
                    self.groups += 1
                    self._commit(group)
                _answer(group)
                with self._committing:
                    self._afterwards()


def _call(run: Callable[[Connection], T]) -> Call:
    """A call whose answer goes to this thread's event loop."""
    loop = asyncio.get_running_loop()
    return Call(run, loop, loop.create_future())


def _answer(group: list[Call]) -> None:
    """Hand each caller its result; one wake-up per event loop however many callers it has."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Call]] = defaultdict(list)
    for call in group:
        if call.loop is not None:
            by_loop[call.loop].append(call)
        elif not call.future.set_running_or_notify_cancel():
            continue
        elif call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)
    for loop, calls in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, calls)
        except RuntimeError:  # the loop has been closed: nobody waits any more
            log.warning("a caller went away before its write was answered", callers=len(calls))


def _resolve(calls: list[Call]) -> None:
    for call in calls:
        tell(call.future, call.result, call.error)
