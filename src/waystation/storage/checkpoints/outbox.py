"""Writes of one run on their way to the database.

A run hands over its writes and goes on. Those handed over while the writer is busy with others become one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future

from sqlalchemy import Connection

from waystation.storage.database import Database

__all__ = ["Guard", "Outbox"]

Guard = Callable[[Connection], None]
"""Called first in each transaction; raises if the run may not write any more."""

Write = Callable[[Connection], None]


class _Batch:
    """Writes that are one transaction. It takes more until the writer begins with it."""

    def __init__(self, guard: Guard | None) -> None:
        self._guard = guard
        self._open = True
        self._lock = threading.Lock()
        self.writes: list[Write] = []
        self.future: Future[None]

    def add(self, write: Write) -> bool:
        """Whether there was still time for it."""
        with self._lock:
            if self._open:
                self.writes.append(write)
            return self._open

    def run(self, conn: Connection) -> None:
        with self._lock:
            self._open = False
        if self._guard is not None:
            self._guard(conn)
        for write in self.writes:
            write(conn)


class Outbox:
    """Posts writes in order. After one has failed nothing more is written: the history would have a gap.

    Usable from all threads of a run.
    """

    def __init__(self, db: Database, guard: Guard | None) -> None:
        self._db = db
        self._guard = guard
        self._lock = threading.Lock()
        self._last: _Batch | None = None
        self._error: BaseException | None = None

    def post(self, write: Write) -> Future[None]:
        """Hand over `write`; the result becomes known when it is committed.

        Raises what an earlier write failed with, and Unavailable when the database is closing.
        """
        with self._lock:
            self._require_no_error()
            if self._last is not None and self._last.add(write):
                return self._last.future
            batch = _Batch(self._guard)
            batch.add(write)
            batch.future = self._db.post(batch.run)
            batch.future.add_done_callback(self._settled)
            self._last = batch
            return batch.future

    @property
    def pending(self) -> bool:
        """Whether something is not committed yet, or has failed."""
        return self._error is not None or (self._last is not None and not self._last.future.done())

    async def flush(self) -> None:
        """Wait until everything posted is committed. Raises what the first failed write failed with."""
        last = self._last
        if last is not None and not last.future.done():
            await _done(last.future)
        self._require_no_error()

    def flush_blocking(self) -> None:
        """`flush` for code on a plain thread."""
        last = self._last
        if last is not None:
            with contextlib.suppress(Exception):  # the first failure is raised below, and this may be a later one
                last.future.result()
        self._require_no_error()

    def _require_no_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _settled(self, future: Future[None]) -> None:
        error = future.exception()
        if error is not None and self._error is None:
            self._error = error


async def _done(future: Future[None]) -> None:
    """Wait without being able to cancel it: the writer owns the future."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake(_future: Future[None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(woken.set)

    future.add_done_callback(wake)
    await woken.wait()
