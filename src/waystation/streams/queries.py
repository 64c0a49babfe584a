"""SQL of the event log."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_

from waystation.storage.driver import InsertSql
from waystation.storage.prepared import Prepared
from waystation.storage.sealing import EVENT, seal_last
from waystation.storage.tables import events, runs
from waystation.streams import last_words
from waystation.streams.events import Event, position_at

__all__ = [
    "append",
    "delete_of_thread",
    "delete_settled_before",
    "last_of_run",
    "last_position",
    "over",
    "read_run",
    "read_thread",
]

_APPEND = InsertSql("events", "thread_id, position, run_id, name, data", "ON CONFLICT (thread_id, position) DO NOTHING")
_LAST = Prepared(
    select(func.max(events.c.position).label("position")).where(events.c.thread_id == bindparam("thread_id"))
)
_LAST_OF_RUN = (
    select(events.c.position)
    .where(events.c.thread_id == bindparam("thread_id"), events.c.run_id == bindparam("run_id"))
    .order_by(events.c.position.desc())
    .limit(1)
)
_STATUS = select(runs.c.run_id, runs.c.status, runs.c.settled_at).where(
    runs.c.run_id.in_(bindparam("run_ids", expanding=True))
)
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
    .with_for_update(of=events, skip_locked=True)
)
_DELETE_OF_THREAD = Prepared(delete(events).where(events.c.thread_id == bindparam("thread_id")))
_DELETE_OLD = delete(events).where(tuple_(events.c.thread_id, events.c.position).in_(_oldest))


def append(conn: Connection, batch: Sequence[Event]) -> None:
    """Add events to their threads' logs; those that are there already stay as they are."""
    [rows] = seal_last(EVENT, [(e.thread_id, e.position, e.run_id, e.name, e.data) for e in batch])
    _APPEND.run(conn, rows)


def delete_of_thread(conn: Connection, thread_id: str) -> None:
    """Delete the whole log of a thread."""
    _DELETE_OF_THREAD.run(conn, {"thread_id": thread_id})


def last_position(conn: Connection, thread_id: str) -> int | None:
    """The position of the newest stored event of a thread."""
    row = _LAST.first(conn, {"thread_id": thread_id})
    position: int | None = row.position if row is not None else None
    return position


def last_of_run(conn: Connection, thread_id: str, run_id: str) -> int | None:
    """The position of the newest stored event of a run. Quick for the thread's newest run: it is looked for from the end."""
    position: int | None = conn.execute(_LAST_OF_RUN, {"thread_id": thread_id, "run_id": run_id}).scalar()
    return position


def over(conn: Connection, run_ids: Sequence[str]) -> dict[str, str | None]:
    """Those of the given runs that are over, with their final status; None for one that is gone and has left no word."""
    rows = {row.run_id: row for row in conn.execute(_STATUS, {"run_ids": list(run_ids)})}
    found: dict[str, str | None] = {}
    for run_id in run_ids:
        row = rows.get(run_id)
        if row is None:
            found[run_id] = None
        elif row.settled_at is not None:
            found[run_id] = row.status
    if gone := [run_id for run_id, status in found.items() if status is None]:
        found.update(last_words.statuses(conn, gone))
    return found


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
