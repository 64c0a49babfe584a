"""Where a run's events go: to live listeners, and, for a resumable run, into the database first.

A resumable event is delivered only after it is stored: whatever id a client has seen, the log has too, so that a client that
reconnects after a crash misses nothing and sees nothing twice.

An attempt that has lost its run must not be heard any more. What is stored is stored together with a guard. What is not
stored goes out at once as long as the worker's lease is surely good, and otherwise after the guard was asked.

Batches are handed to the writer without waiting for the one before: the writer keeps their order, also with the checkpoints of
the run. A checkpoint that is stored has its events stored, or an attempt that resumes from it would never make them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from waystation.encoding import encode
from waystation.errors import Unavailable, WaystationError
from waystation.storage.batches import OpenBatch
from waystation.storage.database import Database
from waystation.streams import queries
from waystation.streams.bus import Bus
from waystation.streams.events import Event, Positions, RunEnd

__all__ = ["RunLog"]

Guard = Callable[[Connection], Callable[[], object]]


class RunLog:
    """The event log of one attempt of one run, written from one event loop.

    `guard` asks in a transaction whether the run still belongs to the attempt; what it returns raises a domain error if not, which
    mutes the log. `term` is the number of the time in which it surely does, or None: another number than before means that it
    may have lost the run in between. `listener` is that of the run's `Order`."""

    def __init__(
        self,
        bus: Bus,
        db: Database,
        positions: Positions,
        thread_id: str,
        run_id: str,
        *,
        resumable: bool,
        attempt: int = 0,
        listener: str | None = None,
        guard: Guard | None = None,
        term: Callable[[], int | None] = lambda: 0,
    ) -> None:
        self._bus = bus
        self._db = db
        self._positions = positions
        self._thread_id = thread_id
        self._run_id = run_id
        self._resumable = resumable
        self._attempt = attempt
        self._guard = guard
        self._term = term
        self._trusted = term()
        self._loop = asyncio.get_running_loop()
        self._last = 0 if attempt <= 1 else None
        self._pending: list[Event] = []
        self._flush_scheduled = False
        self._last_batch: OpenBatch[Event] | None = None
        self._broken: OpenBatch[Event] | None = None
        """On the writer: the batch that failed. The writer may try it again, but nothing may come after it."""
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failure: BaseException | None = None
        self._muted = False
        bus.expect(run_id, listener)

    def resume_after(self, position: int) -> None:
        """The newest resumable event of the run's earlier attempts; 0 without any. Call it before `emit`."""
        self._last = position

    def mute(self) -> None:
        """Drop whatever is emitted from now on: the attempt has lost its run. From any thread."""
        self._muted = True

    def emit(self, name: str, payload: Any) -> None:
        """Add an event. Without listeners an event that is not kept costs nothing."""
        if self._muted or (not self._resumable and not self._bus.listened(self._thread_id, self._run_id)):
            return
        self._add(name, encode(payload))

    async def flush(self) -> None:
        """Wait until every event so far is stored (if resumable) and delivered. Raises what storing them raised."""
        self._flush()
        await self._idle.wait()
        if self._failure is not None:
            raise self._failure

    def end(self, end: RunEnd) -> None:
        """Tell listeners that the attempt is over. Call it after `flush` and after the run's state is committed."""
        if self._resumable:
            end = replace(end, last=self._last)
        self._bus.publish([self._event("", b"", end=end)])

    def _event(self, name: str, data: bytes, end: RunEnd | None = None) -> Event:
        position = self._positions.next()
        previous = self._last or 0
        if self._resumable and end is None:
            self._last = position
        return Event(position, self._thread_id, self._run_id, name, data, self._resumable, end, previous, self._attempt)

    def _add(self, name: str, data: bytes) -> None:
        self._pending.append(self._event(name, data))
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        events, self._pending = self._pending, []
        if not events or self._muted or self._failure is not None:
            return
        term = self._term()
        trusted = self._guard is None or (term is not None and term == self._trusted)
        if not self._resumable and trusted and not self._in_flight:
            self._bus.publish(events)
        elif self._last_batch is None or not self._last_batch.add(events):
            batch = self._last_batch = OpenBatch(events)
            stored = self._db.post_repeatable(self._store, batch)
            self._in_flight += 1
            self._idle.clear()
            stored.add_done_callback(partial(self._stored, batch, term))

    def _store(self, conn: Connection, batch: OpenBatch[Event]) -> None:
        """On the writer."""
        if self._broken is not None and self._broken is not batch:
            raise Unavailable("an earlier event of the run could not be stored")
        events = batch.close()
        try:
            if self._guard is not None:
                self._guard(conn)()
            if self._resumable:
                queries.append(conn, events)
        except Exception:
            self._broken = batch
            raise
        self._broken = None

    def _stored(self, batch: OpenBatch[Event], term: int | None, stored: Future[None]) -> None:
        """On the writer's thread, right after the commit."""
        error = stored.exception()
        if error is None:
            self._trusted = term
            self._bus.publish(batch.close())
        self._loop.call_soon_threadsafe(self._settled, error)

    def _settled(self, error: BaseException | None) -> None:
        self._in_flight -= 1
        if isinstance(error, WaystationError) and not isinstance(error, Unavailable):
            self._muted = True
        elif not self._muted:
            self._failure = self._failure or error
        if not self._in_flight:
            self._idle.set()
