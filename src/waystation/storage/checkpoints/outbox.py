"""Writes of one run on their way to the database.

A run hands over its writes and goes on. They are held back for some milliseconds, and longer while the writer is busy:
those that come together are one transaction, with one look at the lease. A commit costs more than all of a superstep's
statements.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from sqlalchemy import Connection

from waystation.errors import Unavailable, WaystationError
from waystation.storage.batches import OpenBatch
from waystation.storage.checkpoints.queries import Row
from waystation.storage.database import Database

__all__ = ["Guard", "Outbox"]

HELD_BACK_S = 0.005
"""How long a put waits for others while the writer has nothing to do, in seconds. A crash loses it, as if it had come that much
earlier."""

HELD_BACK_AGAIN = 7
"""How often it waits that long again because callers of the writer are waiting: most runs end meanwhile, and what they have put
becomes part of the transaction that settles them."""

Guard = Callable[[Connection], Callable[[], object]]
"""Called first in each transaction: asks whether the run may still write. What it returns is called before the end, and raises if
the run may not."""

T = TypeVar("T")

Insert = Callable[[Connection, Sequence[Row]], None]
"""Stores rows."""


class _Batch(OpenBatch[Row]):
    """Rows that are stored in one transaction."""

    future: Future[None] | None = None
    """Of the transaction; None while the batch is held back."""


class Outbox:
    """Posts writes in order. After one has failed nothing more is written: the history would have a gap.

    Usable from all threads of a run.
    """

    def __init__(self, db: Database, guard: Guard | None, insert: Insert) -> None:
        self._db = db
        self._guard = guard
        self._insert = insert
        self._lock = threading.Lock()
        self._last: _Batch | None = None
        self._error: BaseException | None = None
        self._broken: tuple[_Batch, Exception] | None = None
        """On the writer: the batch that failed last, and how. The writer may try it again."""
        self._finished = False

    def add(self, rows: Sequence[Row]) -> None:
        """Take over `rows`. Raises what an earlier write failed with, and Unavailable when the database is closing."""
        with self._lock:
            self._require_no_error()
            if self._finished:
                raise Unavailable("the run has ended: nothing more is stored for it")
            if self._last is not None and self._last.add(rows):
                return
            self._last = _Batch()
            self._last.add(rows)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # on a plain thread there is nobody who would post it later
                self._post(self._last)
            else:
                loop.call_later(HELD_BACK_S, self._post_later, self._last, HELD_BACK_AGAIN)

    def post(self) -> Future[None] | None:
        """Queue what is held back for the writer; returns the future of the last transaction, if there was any."""
        with self._lock:
            if self._last is None:
                return None
            return self._last.future or self._post(self._last)

    @property
    def pending(self) -> bool:
        """Whether something is not committed yet, or has failed."""
        last = self._last
        if self._error is not None or last is None:
            return self._error is not None
        return last.future is None or not last.future.done() or last.future.exception() is not None

    async def flush(self) -> None:
        """Wait until everything taken over is committed. Raises what the first failed write failed with."""
        future = self.post()
        if future is not None and not future.done():
            await _done(future)
        self._require_no_error()

    async def finish(self, begin: Callable[[Connection], Callable[[], T]]) -> T:
        """Run `begin`, and what it returns, which raises if the run may not write any more, in one transaction with everything
        held back, after everything posted. It does not happen when an earlier write failed: then that failure is raised.
        Nothing can be added afterwards."""
        with self._lock:
            last, self._last = self._last, None
            self._finished = True
        batch = last if last is not None and last.future is None else None

        def together(conn: Connection) -> T:
            self._require_unbroken(None)
            complete = begin(conn)
            if batch is not None:
                self._insert(conn, batch.close())
            return complete()  # looks at the lease

        if batch is None:
            return await self._db.write_few(together)
        batch.future = Future()  # it is not to be posted any more
        try:
            return await self._db.write_few(together)
        except Exception:
            # `begin` may be at fault: then the run goes on from here when it is tried again.
            with contextlib.suppress(Exception):
                await self._db.write(self._store, batch)
            raise

    def flush_blocking(self) -> None:
        """`flush` for code on a plain thread."""
        future = self.post()
        if future is not None:
            with contextlib.suppress(Exception):  # the first failure is raised below; this may be a later one
                future.result()
        self._require_no_error()

    def _post(self, batch: _Batch) -> Future[None]:
        future = self._db.post(self._run, batch)
        batch.future = future
        future.add_done_callback(self._settled)
        return future

    def _run(self, conn: Connection, batch: _Batch) -> None:
        """On the writer. A failure is known at once: what comes next may be in the same group, before the future tells."""
        self._require_unbroken(batch)
        try:
            self._store(conn, batch)
        except Exception as error:
            self._broken = batch, error
            raise
        self._broken = None

    def _store(self, conn: Connection, batch: _Batch) -> None:
        check = self._guard(conn) if self._guard is not None else None
        self._insert(conn, batch.close())
        if check is not None:
            check()

    def _require_unbroken(self, batch: _Batch | None) -> None:
        """On the writer: raise if a write before `batch` has failed. Never with an error of the driver, which the writer would
        take for one of its own and try again."""
        error: BaseException | None = self._error
        if error is None and self._broken is not None and self._broken[0] is not batch:
            error = self._broken[1]
        if isinstance(error, WaystationError):
            raise error
        if error is not None:
            raise Unavailable("an earlier write of the run failed") from error

    def _post_later(self, batch: _Batch, again: int) -> None:
        with self._lock:
            if batch.future is not None:
                return
            if again and self._db.statistics()["write_queue"]:
                asyncio.get_running_loop().call_later(HELD_BACK_S, self._post_later, batch, again - 1)
                return
            try:
                self._post(batch)
            except Exception as error:  # noqa: BLE001 - for the next who adds or flushes; there is no caller here
                self._error = self._error or error

    def _require_no_error(self) -> None:
        last = self._last.future if self._last is not None else None
        if last is not None and last.done():
            self._settled(last)  # its callbacks may be about to run
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
