"""Waiting for a run's result (spec 6.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, select

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import NotFound
from waystation.runs import queries
from waystation.storage.tables import threads
from waystation.streams.bus import EndWaiter

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["KEEP_ALIVE", "RUN_NOT_FOUND", "final_result", "keep_alive_until_end", "result_of_settled"]

KEEP_ALIVE = b"\n"
END_GRACE_S = 0.2
"""How long a run's result may arrive after its final state: the thread's row, which stands in for it, says less."""

RUN_NOT_FOUND = {"error": "HTTPException", "message": "404: Run not found"}

_THREAD = select(threads.c.status, threads.c["values"], threads.c.interrupts, threads.c.error).where(
    threads.c.thread_id == bindparam("thread_id")
)


async def keep_alive_until_end(
    server: Server, access: Access, thread_id: str, run_id: str, waiter: EndWaiter
) -> AsyncIterator[bytes]:
    """Newlines while the run goes on, then its result as JSON."""
    while True:
        end = await waiter.end(server.config.heartbeat_s)
        if end is not None and end.result is not None:
            yield end.result
            return
        settled = await server.db.lookup(result_of_settled, thread_id, run_id, access)
        if settled is not None:
            end = await waiter.end(END_GRACE_S)  # it may have ended while we looked, and be about to say so
            yield settled if end is None or end.result is None else end.result
            return
        if server.bus.closed:
            return
        yield KEEP_ALIVE


def final_result(thread: Row[*tuple[Any, ...]] | None) -> bytes:
    """The result of a run that ended unseen: what its thread shows now."""
    if thread is None:
        return b"{}"
    if thread.status == "error" and thread.error:
        return encode({"__error__": thread.error})
    if thread.status == "interrupted" and thread.interrupts:
        waiting = [
            {"id": each.get("id"), "value": each.get("value")} for task in thread.interrupts.values() for each in task
        ]
        return encode({"__interrupt__": waiting})
    return encode(thread.values if thread.values is not None else {})


def result_of_settled(conn: Connection, thread_id: str, run_id: str, access: Access) -> bytes | None:
    """The result of a run that is over, or None while it is not. A run that does not exist is an ``__error__``.

    Raises NotFound when the caller may not see the thread that does exist."""
    run = queries.find_run(conn, thread_id, run_id, access)
    if run is None:
        there = conn.execute(_THREAD, {"thread_id": thread_id}).first()
        if there is not None and queries.find_thread(conn, thread_id, access) is None:
            raise NotFound(f"Thread {thread_id} not found.")
        return encode({"__error__": RUN_NOT_FOUND})
    if run.settled_at is None:
        return None
    return final_result(conn.execute(_THREAD, {"thread_id": thread_id}).first())
