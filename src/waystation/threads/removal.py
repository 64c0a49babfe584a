"""SQL of removing threads, and all their history but the newest, in transactions that keep nobody waiting.

Each function does a part of the work and says what is left. A thread is gone as a whole, with one transaction; only of one
that is very large the events, the finished runs and the checkpoints go apart from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field
from sqlalchemy import Connection, Delete, Select, bindparam, delete, func, literal, select, tuple_

from waystation.auth.access import Access
from waystation.runs import lifecycle
from waystation.storage import checkpoints
from waystation.storage.prepared import Prepared
from waystation.storage.tables import events, runs, threads
from waystation.streams import queries as event_queries

__all__ = ["PART", "Pruned", "Removed", "prune_some", "remove_some", "remove_thread"]

PART = 2000
"""Rows deleted in one transaction, roughly: SQLite takes 10 ms for them."""

RUN_COST = 4
"""Deleting a run, or an event, takes as long as deleting so many rows of checkpoints."""

THREAD_COST = 20
"""Removing a thread without history takes as long as deleting so many rows."""


class Removed(Struct):
    """What one transaction has removed."""

    threads: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    """The runs that were in flight on them."""
    set_aside: list[int] = field(default_factory=list)
    """Checkpoints that are still to be deleted, for `checkpoints.delete_set_aside`."""
    rows: int = 0
    left: Sequence[str] = ()
    """Threads that it did not get to, or not to the end of."""


class Pruned(Struct, frozen=True):
    """How far pruning has come."""

    threads: int
    """Pruned to the end by this transaction."""
    left: Sequence[str] = ()
    place: checkpoints.Place = checkpoints.BEGINNING
    """Where to go on in the first of those that are left."""


_LOCK = Prepared(select(threads.c.thread_id).where(threads.c.thread_id == bindparam("thread_id")).with_for_update())
_DELETE = Prepared(delete(threads).where(threads.c.thread_id == bindparam("thread_id")))

_settled = (runs.c.thread_id == bindparam("thread_id"), runs.c.settled_at.is_not(None))
_of_thread = events.c.thread_id == bindparam("thread_id")


def _bounded_count(statement: Select[int]) -> Prepared:
    return Prepared(select(func.count().label("rows")).select_from(statement.limit(bindparam("most")).subquery()))


_EXCESS: tuple[tuple[Prepared, Delete], ...] = (
    (
        _bounded_count(select(literal(1).label("one")).select_from(events).where(_of_thread)),
        delete(events).where(
            tuple_(events.c.thread_id, events.c.position).in_(
                select(events.c.thread_id, events.c.position)
                .where(_of_thread)
                .order_by(events.c.position)
                .limit(bindparam("most"))
            )
        ),
    ),
    (
        _bounded_count(select(literal(1).label("one")).select_from(runs).where(*_settled)),
        delete(runs).where(
            runs.c.run_id.in_(
                select(runs.c.run_id).where(*_settled).order_by(runs.c.created_at).limit(bindparam("most"))
            )
        ),
    ),
)
"""What goes together with a thread's row: how to count it, and how to delete the oldest of it beforehand."""


def remove_some(conn: Connection, thread_ids: Sequence[str], access: Access, most: int = PART) -> Removed:
    """Delete of these threads, in this order, as many as come to some `most` rows. Unknown ones are skipped."""
    removed = Removed()
    lock = _LOCK.within(access, threads.c.metadata)
    for position, thread_id in enumerate(thread_ids):
        if removed.rows >= most:
            removed.left = thread_ids[position:]
            break
        if lock.first(conn, {"thread_id": thread_id}) is None:
            removed.rows += 1
            continue
        if not remove_thread(conn, thread_id, removed, most):
            removed.left = thread_ids[position:]
            break
    return removed


def remove_thread(conn: Connection, thread_id: str, removed: Removed, most: int) -> bool:
    """Delete a thread that the caller has locked, and note that in `removed`; False when it has so many events or finished
    runs that only some of them were deleted now."""
    rows = 0
    many = max(most // RUN_COST, 1)
    for count, delete_oldest in _EXCESS:
        row = count.first(conn, {"thread_id": thread_id, "most": many + 1})
        found = row.rows if row is not None else 0
        if found > many:
            conn.execute(delete_oldest, {"thread_id": thread_id, "most": many})
            removed.rows += most
            return False
        rows += found * RUN_COST
    removed.running += lifecycle.in_flight_runs(conn, [thread_id])
    # The row goes first, and with it the runs: what a worker is writing for one has arrived by then, or never will.
    _DELETE.run(conn, {"thread_id": thread_id})
    event_queries.delete_of_thread(conn, thread_id)
    size = checkpoints.size(conn, thread_id, most)
    if size < most:
        checkpoints.delete_threads(conn, [thread_id])
        rows += size
    elif (key := checkpoints.set_aside(conn, thread_id)) is not None:
        removed.set_aside.append(key)
    removed.threads.append(thread_id)
    removed.rows += rows + THREAD_COST
    return True


def prune_some(
    conn: Connection,
    thread_ids: Sequence[str],
    access: Access,
    place: checkpoints.Place = checkpoints.BEGINNING,
    most: int = PART,
) -> Pruned:
    """Delete of these threads, in this order, all checkpoints but the newest, until that comes to some `most` rows.

    Begins in the first of them at `place`. Unknown ones are skipped.
    """
    lock = _LOCK.within(access, threads.c.metadata)
    pruned = done = 0
    for position, thread_id in enumerate(thread_ids):
        if done >= most:
            return Pruned(pruned, thread_ids[position:], place)
        if lock.first(conn, {"thread_id": thread_id}) is None:
            place = checkpoints.BEGINNING
            done += 1
            continue
        rows, following = checkpoints.keep_latest(conn, thread_id, most - done, place)
        done += rows + THREAD_COST
        if following is not None:
            return Pruned(pruned, thread_ids[position:], following)
        pruned += 1
        place = checkpoints.BEGINNING
    return Pruned(pruned)
