"""SQL of the event log."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_

from waystation.storage.tables import events, runs
from waystation.streams.events import Event, position_at

__all__ = ["append", "delete_settled_before", "last_position", "read_run", "read_thread"]

_APPEND = insert(events)
_LAST = select(func.max(events.c.position)).where(events.c.thread_id == bindparam("thread_id"))
_READ = (
    select(events.c.position, events.c.run_id, events.c.name, events.c.data)
    .where(events.c.thread_id == bindparam("thread_id"), events.c.position > bindparam("after"))
    .order_by(events.c.position)
    .limit(bindparam("limit"))
)
_READ_RUN = _READ.where(events.c.run_id == bindparam("run_id"))
_oldest = (
    select(events.c.thread_id, events.c.position)
    .join(runs, runs.c.run_id == events.c.run_id, isouter=True)
    .where(
        events.c.position < bindparam("before_position"),
        runs.c.run_id.is_(None) | (runs.c.settled_at < bindparam("before")),
    )
    .order_by(events.c.position)
    .limit(bindparam("limit"))
)
_DELETE_OLD = delete(events).where(tuple_(events.c.thread_id, events.c.position).in_(_oldest))


def append(conn: Connection, batch: Sequence[Event]) -> None:
    """Add events to their threads' logs."""
    conn.execute(
        _APPEND,
        [
            {"thread_id": e.thread_id, "position": e.position, "run_id": e.run_id, "name": e.name, "data": e.data}
            for e in batch
        ],
    )


def last_position(conn: Connection, thread_id: str) -> int | None:
    """The position of the newest stored event of a thread."""
    position: int | None = conn.execute(_LAST, {"thread_id": thread_id}).scalar()
    return position


def read_run(conn: Connection, thread_id: str, run_id: str, after: int, limit: int) -> list[Event]:
    """Stored events of a run with a position greater than `after`, oldest first."""
    rows = conn.execute(_READ_RUN, {"thread_id": thread_id, "run_id": run_id, "after": after, "limit": limit})
    return [Event(row.position, thread_id, row.run_id, row.name, row.data, resumable=True) for row in rows]


def read_thread(conn: Connection, thread_id: str, after: int, limit: int) -> list[Event]:
    """Stored events of a thread with a position greater than `after`, oldest first."""
    rows = conn.execute(_READ, {"thread_id": thread_id, "after": after, "limit": limit})
    return [Event(row.position, thread_id, row.run_id, row.name, row.data, resumable=True) for row in rows]


def delete_settled_before(conn: Connection, before: int, limit: int) -> int:
    """Delete at most `limit` events of runs that were settled before that time (microseconds), or that are gone; returns how
    many."""
    parameters = {"before": before, "before_position": position_at(before // 1000), "limit": limit}
    return conn.execute(_DELETE_OLD, parameters).rowcount
