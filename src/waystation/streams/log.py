"""Where a run's events go: to live listeners, and, for a resumable run, into the database first.

A resumable event is delivered only after it is stored: whatever id a client has seen, the log has too, so that a client that
reconnects after a crash misses nothing and sees nothing twice.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from waystation.encoding import encode
from waystation.storage.database import Database
from waystation.streams import queries
from waystation.streams.bus import MemoryBus
from waystation.streams.events import Event, Positions, RunEnd

__all__ = ["RunLog"]


class RunLog:
    """The event log of one attempt of one run, written from one event loop."""

    def __init__(
        self, bus: MemoryBus, db: Database, positions: Positions, thread_id: str, run_id: str, *, resumable: bool
    ) -> None:
        self._bus = bus
        self._db = db
        self._positions = positions
        self._thread_id = thread_id
        self._run_id = run_id
        self._resumable = resumable
        self._loop = asyncio.get_running_loop()
        self._pending: list[Event] = []
        self._flush_scheduled = False
        self._storing: Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._failure: BaseException | None = None
        self._muted = False

    def mute(self) -> None:
        """Drop whatever is emitted from now on: the attempt has lost its run. From any thread."""
        self._muted = True

    def emit(self, name: str, payload: Any) -> None:
        """Add an event. Without listeners an event that is not kept costs nothing."""
        if self._muted or (not self._resumable and not self._bus.listened(self._thread_id)):
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
        self._bus.publish([self._event("", b"", end=end)])

    def _event(self, name: str, data: bytes, end: RunEnd | None = None) -> Event:
        return Event(
            self._positions.next(), self._thread_id, self._run_id, name, data, resumable=self._resumable, end=end
        )

    def _add(self, name: str, data: bytes) -> None:
        self._pending.append(self._event(name, data))
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if not self._pending or self._storing is not None:
            return
        batch, self._pending = self._pending, []
        if not self._resumable:
            self._bus.publish(batch)
            return
        self._idle.clear()
        self._storing = self._db.post(queries.append, batch)
        self._storing.add_done_callback(lambda stored: self._stored(batch, stored))

    def _stored(self, batch: list[Event], stored: Future[None]) -> None:
        """On the writer's thread, right after the commit."""
        error = stored.exception()
        if error is None:
            self._bus.publish(batch)
        self._loop.call_soon_threadsafe(self._next, error)

    def _next(self, error: BaseException | None) -> None:
        self._storing = None
        self._failure = self._failure or error
        if self._pending and self._failure is None:
            self._flush()
        else:
            self._idle.set()
