"""One thread that writes: it takes all callers that wait, has them committed together, and answers them.

Under load the cost of a commit is shared, and with one caller nothing waits. How a group is carried out is up to the
dialect: it sets each call's ``result`` or ``error``.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from waystation.errors import Unavailable

__all__ = ["CAREFUL_GROUPS", "Call", "GroupCommit"]

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger("waystation.storage")

GROUP = 256
"""Callers committed together at most: bounds the time the first one waits for the last."""

CAREFUL_GROUPS = 100
"""Groups with a savepoint for each caller after a caller has failed. Otherwise a group does without, which spares every caller two
statements, and is taken back for a caller that fails: what it had done so far is done again."""


@dataclass(slots=True)
class Call:
    """A function waiting for the writer, and where its answer goes: to a loop's future or to a thread's."""

    run: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop | None
    future: Any
    repeatable: bool = False
    """It may be run again after it has been committed."""
    result: Any = None
    error: BaseException | None = None


class GroupCommit:
    """The writer thread. `commit` is called on it with each group, and `afterwards` once the group's callers have been told."""

    def __init__(self, commit: Callable[[list[Call]], None], afterwards: Callable[[], None] = lambda: None) -> None:
        self._commit = commit
        self._afterwards = afterwards
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._closed = False
        self.calls = 0
        self.groups = 0
        self._thread = threading.Thread(target=self._loop, name="waystation-writer", daemon=True)
        self._thread.start()

    def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """See `Database.write`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._enqueue(Call(lambda conn: fn(conn, *args, **kwargs), loop, future))
        return future

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
        return self._queue.qsize()

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Carry out what is queued, take nothing more, and end the thread. On a plain thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _enqueue(self, call: Call) -> None:
        if self._closed:
            raise Unavailable("the database is closing")
        self._queue.put(call)

    def _loop(self) -> None:
        while True:
            call = self._queue.get()
            group: list[Call] = []
            while call is not None:
                group.append(call)
                if len(group) == GROUP:
                    break
                try:
                    call = self._queue.get_nowait()
                except queue.Empty:
                    break
            if group:
                self.calls += len(group)
                self.groups += 1
                self._commit(group)
                _answer(group)
                self._afterwards()
            if call is None:
                return


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
        if call.future.done():
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)
