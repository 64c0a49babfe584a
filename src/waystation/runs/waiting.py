"""Waiting for a run's result (spec 6.4)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, select

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import NotFound
from waystation.runs import queries
from waystation.storage.database import Database
from waystation.storage.tables import threads
from waystation.streams import last_words
from waystation.streams import queries as event_queries
from waystation.streams.bus import Bus, EndWaiter
from waystation.streams.looks import Looks
from waystation.threads.interrupts import open_interrupts

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["KEEP_ALIVE", "RUN_NOT_FOUND", "ResultWaiter", "Settled", "final_result", "settled_run", "until_over"]

KEEP_ALIVE = b"\n"

OUTAGE_LOOK_S = 0.5
"""How often the database is looked at while other processes cannot be heard."""

END_GRACE_S = 0.2
"""How long a run's result may arrive after its final state: the thread's row, which stands in for it, says less."""

GONE_GRACE_S = 3
"""The same for a run that is gone together with its thread, so that nothing can stand in for the result, when it was
executed elsewhere. The process that has it may have to be connected to Redis again."""

OUTAGE_GRACE_S = 30
"""The same while other processes cannot be heard."""

RUN_NOT_FOUND = {"error": "HTTPException", "message": "404: Run not found"}

_THREAD = select(threads.c.status, threads.c["values"], threads.c.interrupts, threads.c.error).where(
    threads.c.thread_id == bindparam("thread_id")
)


class Settled(Struct, frozen=True):
    """A run that is over, as the database shows it."""

    result: bytes
    """JSON: what its thread shows now."""
    gone: bool = False
    """Whether there is no such run (any more)."""


class ResultWaiter:
    """Waits for the result of one run: it comes with the run's end, or else is looked for in the database."""

    def __init__(self, server: Server, access: Access, thread_id: str, run_id: str, waiter: EndWaiter) -> None:
        """`waiter` is open."""
        self._db = server.db
        self._bus = server.bus
        self._access = access
        self._thread_id = thread_id
        self._run_id = run_id
        self._waiter = waiter
        self._heartbeat_s = server.config.heartbeat_s
        self._looks = Looks(server.bus, self._heartbeat_s, OUTAGE_LOOK_S)
        self._gone_at: float | None = None

    async def within(self, timeout_s: float) -> bytes | None:
        """The result as JSON, or None when `timeout_s` passes first or the server stops. Raises NotFound."""
        until = time.monotonic() + timeout_s
        while True:
            left = until - time.monotonic()
            end = await self._waiter.end(max(0.0, min(left, self._looks.pause())))
            if end is not None and end.result is not None:
                return end.result
            found = await self._look()
            if found is not None or self._bus.closed or time.monotonic() >= until:
                return found

    async def or_keep_alive(self) -> AsyncIterator[bytes]:
        """Newlines while the run goes on, then its result as JSON."""
        while (found := await self.within(self._heartbeat_s)) is None:
            if self._bus.closed:
                return
            yield KEEP_ALIVE
        yield found

    async def _look(self) -> bytes | None:
        settled = await self._db.lookup(settled_run, self._thread_id, self._run_id, self._access)
        self._looks.looked()
        if settled is None:
            return None
        if settled.gone and (left := await self._db.lookup(last_words.find, self._run_id)) is not None:
            return left.result
        if settled.gone and not await self._db.lookup(event_queries.over, [self._run_id]):
            return None  # it is being rolled back
        if settled.gone and self._may_come_late():
            return None
        end = await self._waiter.end(END_GRACE_S)  # it may have ended while we looked, and be about to say so
        return settled.result if end is None or end.result is None else end.result

    def _may_come_late(self) -> bool:
        """Whether the result of a run that is gone may still be on its way from another process."""
        if self._bus.address is None or self._waiter.ended:
            return False
        now = time.monotonic()
        if self._gone_at is None:
            self._gone_at = now
        return now - self._gone_at < (GONE_GRACE_S if self._bus.connected else OUTAGE_GRACE_S)


async def until_over(db: Database, bus: Bus, waiter: EndWaiter, timeout_s: float) -> None:
    """Wait until a run is over, at most `timeout_s` seconds."""
    until = time.monotonic() + timeout_s
    looks = Looks(bus, timeout_s, OUTAGE_LOOK_S)
    while (left := until - time.monotonic()) > 0:
        if await waiter.end(min(left, looks.pause())) is not None:
            return
        if await db.lookup(event_queries.over, [waiter.run_id]):
            return
        looks.looked()


def final_result(thread: Row[*tuple[Any, ...]] | None) -> bytes:
    """The result of a run that ended unseen: what its thread shows now."""
    if thread is None:
        return b"{}"
    if thread.status == "error" and thread.error:
        return encode({"__error__": thread.error})
    if thread.status == "interrupted" and thread.interrupts:
        waiting = [{"id": each.get("id"), "value": each.get("value")} for each in open_interrupts(thread.interrupts)]
        return encode({"__interrupt__": waiting})
    return encode(thread.values if thread.values is not None else {})


def settled_run(conn: Connection, thread_id: str, run_id: str, access: Access) -> Settled | None:
    """A run that is over, or None while it is not. The result of one that does not exist is an ``__error__``.

    Raises NotFound when the caller may not see the thread that does exist."""
    run = queries.find_run(conn, thread_id, run_id, access)
    if run is None:
        there = conn.execute(_THREAD, {"thread_id": thread_id}).first()
        if there is not None and queries.find_thread(conn, thread_id, access) is None:
            raise NotFound(f"Thread {thread_id} not found.")
        return Settled(encode({"__error__": RUN_NOT_FOUND}), gone=True)
    if run.settled_at is None:
        return None
    return Settled(final_result(conn.execute(_THREAD, {"thread_id": thread_id}).first()))
