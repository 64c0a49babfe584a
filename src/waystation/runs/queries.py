"""SQL of runs and of the thread columns that follow from them. Only `waystation.runs` uses it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from waystation.auth.access import Access
from waystation.storage.driver import Asked
from waystation.storage.prepared import Prepared
from waystation.storage.tables import checkpoint_threads, runs, threads
from waystation.streams import queries as event_queries
from waystation.timestamps import MICROSECONDS

__all__ = [
    "WIRE_COLUMNS",
    "active_runs",
    "ask_active",
    "ask_held",
    "ask_held_and_others",
    "ask_thread",
    "claim",
    "delete_run",
    "delete_thread",
    "expired",
    "find_run",
    "find_thread",
    "holding",
    "holdings",
    "insert_run",
    "insert_thread",
    "list_runs",
    "lock_thread",
    "next_due_at",
    "queue_figures",
    "renew",
    "run_and_values",
    "runs_by_status",
    "runs_of_assistant",
    "set_run",
    "set_thread",
    "stop_held",
]

WIRE_COLUMNS = (
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
)
"""Columns of the Run object (spec 5.3)."""

_visible = runs.c.stop_action.is_distinct_from("rollback")
"""A run being rolled back is as good as deleted: only its worker may still see it."""

_INSERT_RUN = Prepared(
    insert(runs),
    (
        "run_id",
        "thread_id",
        "assistant_id",
        "graph_id",
        "status",
        "metadata",
        "kwargs",
        "multitask_strategy",
        "created_at",
        "updated_at",
        "attempt",
        "worker_id",
        "lease_expires_at",
        "started_at",
        "listener",
        "workspace",
    ),
)
_INSERT_THREAD = Prepared(
    insert(threads),
    (
        "thread_id",
        "status",
        "rest_status",
        "metadata",
        "config",
        "values",
        "interrupts",
        "created_at",
        "updated_at",
        "state_updated_at",
        "ttl_strategy",
        "ttl_minutes",
        "expires_at",
        "workspace",
    ),
)

_SELECT_THREAD = select(
    threads.c.thread_id,
    threads.c.status,
    threads.c.rest_status,
    threads.c.metadata,
    threads.c.config,
    threads.c.interrupts,
    threads.c.workspace,
    threads.c.owner_id,
    threads.c.agent_id,
    and_(threads.c.owner_id.is_not(None), threads.c.title.is_(None)).label("untitled"),
    # That it has no checkpoints. The first half is for PostgreSQL: a statement that has waited for the lock sees the row as it is
    # now, and other tables as they were before.
    and_(
        threads.c.state_updated_at == threads.c.created_at,
        ~exists().where(checkpoint_threads.c.thread_id == threads.c.thread_id),
    ).label("blank"),
).where(threads.c.thread_id == bindparam("thread_id"))
_THREAD = Prepared(_SELECT_THREAD)

# Locks are taken by PostgreSQL only: SQLite has one writer. They leave the keys free, which other rows refer to.
_LOCKED_THREAD = Prepared(_SELECT_THREAD.with_for_update(key_share=True))
_LOCK_THREAD = Prepared(
    select(threads.c.thread_id).where(threads.c.thread_id == bindparam("thread_id")).with_for_update(key_share=True)
)

_ACTIVE = Prepared(
    select(runs.c.run_id, runs.c.status, runs.c.worker_id, runs.c.stop_action)
    .where(runs.c.thread_id == bindparam("thread_id"), runs.c.settled_at.is_(None))
    .order_by(runs.c.created_at, runs.c.run_id)
)


def insert_run(conn: Connection, row: dict[str, Any]) -> None:
    """Store a new run."""
    _INSERT_RUN.run(conn, row)


def insert_thread(conn: Connection, row: dict[str, Any]) -> None:
    """Store the thread that a run brings along."""
    _INSERT_THREAD.run(conn, row)


def find_thread(conn: Connection, thread_id: str, access: Access) -> Row[*tuple[Any, ...]] | None:
    """What creating and settling runs needs of a thread, or None."""
    return ask_thread(conn, thread_id, access).first()


def ask_thread(conn: Connection, thread_id: str, access: Access, *, lock: bool = False) -> Asked:
    """`find_thread`, whose row is fetched later. With `lock`, `lock_thread` as well."""
    statement = _LOCKED_THREAD if lock else _THREAD
    return statement.within(access, threads.c.metadata).ask(conn, {"thread_id": thread_id})


def lock_thread(conn: Connection, thread_id: str) -> None:
    """Until the end of the transaction nobody else changes the thread or the set of its unsettled runs. Always comes before
    the lock of a run."""
    if conn.dialect.name != "sqlite":
        _LOCK_THREAD.run(conn, {"thread_id": thread_id})


def active_runs(conn: Connection, thread_id: str) -> Sequence[Row[*tuple[Any, ...]]]:
    """The thread's runs that are not settled, in the order they will run."""
    return _ACTIVE.rows(conn, {"thread_id": thread_id})


def ask_active(conn: Connection, thread_id: str) -> Asked:
    """`active_runs`, fetched later."""
    return _ACTIVE.ask(conn, {"thread_id": thread_id})


def set_run(conn: Connection, of_run: str, **values: Any) -> None:
    """Overwrite columns of a run."""
    _update(runs, runs.c.run_id, tuple(values)).run(conn, {"of_id": of_run, **_prefixed(values)})


_STOP_HELD = (
    update(runs)
    .where(runs.c.run_id == bindparam("of_run"), runs.c.worker_id.is_not(None))
    .values(
        status="interrupted",
        stop_action=bindparam("action"),
        stop_reason=bindparam("reason"),
        updated_at=bindparam("now"),
    )
)


def stop_held(conn: Connection, run_id: str, action: str, reason: str, now: int) -> bool:
    """Mark a run as cancelled if a worker holds it. Returns whether one does."""
    parameters = {"of_run": run_id, "action": action, "reason": reason, "now": now}
    return conn.execute(_STOP_HELD, parameters).rowcount > 0


def set_thread(
    conn: Connection, of_thread: str, *, renew_ttl: bool = False, mark_unread: bool = False, **values: Any
) -> None:
    """Overwrite columns of a thread. With `renew_ttl` its time to live, if it has one, begins anew at ``updated_at``; with
    `mark_unread` its owner, if it has one, has not seen yet what is on it."""
    update = _update(threads, threads.c.thread_id, tuple(values), renew_ttl, mark_unread)
    update.run(conn, {"of_id": of_thread, **_prefixed(values)})


_EXPIRY: Any = bindparam("new_updated_at", type_=BigInteger) + cast(
    threads.c.ttl_minutes * (60 * MICROSECONDS), BigInteger
)


@cache
def _update(
    table: Table, key: Column[str], columns: tuple[str, ...], renew_ttl: bool = False, mark_unread: bool = False
) -> Prepared:
    """The update statement for these columns, built once for each combination that the lifecycle uses."""
    values: dict[str, Any] = {column: bindparam(f"new_{column}", type_=table.c[column].type) for column in columns}
    if renew_ttl:
        values["expires_at"] = _EXPIRY
    if mark_unread:
        values["unread"] = threads.c.owner_id.is_not(None)
    return Prepared(update(table).where(key == bindparam("of_id")).values(values))


def _prefixed(values: dict[str, Any]) -> dict[str, Any]:
    return {f"new_{column}": value for column, value in values.items()}


_DELETE_RUN = Prepared(delete(runs).where(runs.c.run_id == bindparam("run_id")))
_DELETE_THREAD = Prepared(delete(threads).where(threads.c.thread_id == bindparam("thread_id")))


def delete_run(conn: Connection, run_id: str) -> None:
    """Remove a run's row."""
    _DELETE_RUN.run(conn, {"run_id": run_id})


def delete_thread(conn: Connection, thread_id: str, *, keep_events: bool = False) -> None:
    """Remove a thread with its runs, and with their events unless they are left to the sweeper of events."""
    _DELETE_THREAD.run(conn, {"thread_id": thread_id})
    if not keep_events:
        event_queries.delete_of_thread(conn, thread_id)


_SELECT_RUN = (
    select(runs)
    .join(threads, threads.c.thread_id == runs.c.thread_id)
    .where(runs.c.run_id == bindparam("run_id"), _visible)
)
_RUN = Prepared(_SELECT_RUN)
_RUN_OF_THREAD = Prepared(_SELECT_RUN.where(runs.c.thread_id == bindparam("thread_id")))


def find_run(conn: Connection, thread_id: str | None, run_id: str, access: Access) -> Row[*tuple[Any, ...]] | None:
    """A run of a thread (or, with None, of whichever thread); None when there is none that the caller may see."""
    statement = _RUN if thread_id is None else _RUN_OF_THREAD
    return statement.within(access, threads.c.metadata).first(conn, {"run_id": run_id, "thread_id": thread_id})


_RUN_AND_VALUES = Prepared(
    select(runs, threads.c["values"].label("thread_values"))
    .join(threads, threads.c.thread_id == runs.c.thread_id)
    .where(runs.c.run_id == bindparam("run_id"))
)


def run_and_values(conn: Connection, run_id: str) -> Row[*tuple[Any, ...]] | None:
    """A run, one that is being rolled back too, with the values of its thread (``thread_values``)."""
    return _RUN_AND_VALUES.first(conn, {"run_id": run_id})


def ask_held(conn: Connection, run_id: str, worker_id: str, attempt: int) -> Asked:
    """The run, if `worker_id` still holds it in this attempt. Nobody takes it over before the transaction ends."""
    return _HELD.ask(conn, {"run_id": run_id, "worker_id": worker_id, "attempt": attempt})


def ask_held_and_others(conn: Connection, run_id: str, worker_id: str, attempt: int) -> Asked:
    """`ask_held`; its row also says whether the thread has `others` that are not settled. The thread has to be locked."""
    return _HELD_AND_OTHERS.ask(conn, {"run_id": run_id, "worker_id": worker_id, "attempt": attempt})


_SELECT_HELD = (
    select(
        runs.c.run_id,
        runs.c.thread_id,
        runs.c.status,
        runs.c.stop_action,
        runs.c.stop_reason,
        runs.c.handed_back,
    )
    .where(
        runs.c.run_id == bindparam("run_id"),
        runs.c.worker_id == bindparam("worker_id"),
        runs.c.attempt == bindparam("attempt"),
    )
    .with_for_update(key_share=True)
)
_HELD = Prepared(_SELECT_HELD)

_other = runs.alias("other")
_HELD_AND_OTHERS = Prepared(
    _SELECT_HELD.add_columns(
        exists()
        .where(
            _other.c.thread_id == runs.c.thread_id,
            _other.c.settled_at.is_(None),
            _other.c.run_id != runs.c.run_id,
        )
        .label("others")
    )
)


def list_runs(
    conn: Connection,
    thread_id: str,
    access: Access,
    *,
    limit: int,
    offset: int,
    status: str | None,
) -> list[Row[*tuple[Any, ...]]]:
    """A thread's runs, newest first."""
    statement = (
        select(*(runs.c[name] for name in WIRE_COLUMNS))
        .join(threads, threads.c.thread_id == runs.c.thread_id)
        .where(runs.c.thread_id == thread_id, _visible)
        .order_by(runs.c.created_at.desc(), runs.c.run_id.desc())
        .limit(limit)
        .offset(offset)
    )
    if status is not None:
        statement = statement.where(runs.c.status == status)
    return list(conn.execute(access.limit(statement, threads.c.metadata)))


def runs_by_status(conn: Connection, statuses: tuple[str, ...], access: Access) -> list[Row[*tuple[Any, ...]]]:
    """Ids of all runs in one of `statuses`, with their threads."""
    statement = (
        select(runs.c.run_id, runs.c.thread_id)
        .join(threads, threads.c.thread_id == runs.c.thread_id)
        .where(runs.c.status.in_(statuses), runs.c.settled_at.is_(None), _visible)
    )
    return list(conn.execute(access.limit(statement, threads.c.metadata)))


_OF_ASSISTANT = select(runs.c.run_id, runs.c.thread_id).where(
    runs.c.assistant_id == bindparam("assistant_id"), runs.c.settled_at.is_(None), _visible
)


def runs_of_assistant(conn: Connection, assistant_id: str) -> list[Row[*tuple[Any, ...]]]:
    """The runs that an assistant has in flight."""
    return list(conn.execute(_OF_ASSISTANT, {"assistant_id": assistant_id}))


def _next_due(earlier: Any, other: Any) -> Select[Any]:
    """Pending runs that are due, whose thread no worker holds, and that are the first in line on their thread."""
    held = exists().where(
        other.c.thread_id == runs.c.thread_id, other.c.settled_at.is_(None), other.c.worker_id.is_not(None)
    )
    queued = exists().where(
        earlier.c.thread_id == runs.c.thread_id,
        earlier.c.settled_at.is_(None),
        earlier.c.status == "pending",
        (earlier.c.created_at < runs.c.created_at)
        | ((earlier.c.created_at == runs.c.created_at) & (earlier.c.run_id < runs.c.run_id)),
    )
    return (
        select(runs.c.run_id)
        .where(
            runs.c.settled_at.is_(None),
            runs.c.status == "pending",
            runs.c.created_at <= bindparam("now"),
            ~held,
            ~queued,
        )
        .order_by(runs.c.created_at, runs.c.run_id)
        .limit(bindparam("limit"))
    )


_DUE = Prepared(
    _next_due(runs.alias("earlier"), runs.alias("other"))
    .join(threads, threads.c.thread_id == runs.c.thread_id)
    .with_for_update(key_share=True, skip_locked=True, of=(threads, runs))
)
_other_held = runs.alias("other_held")
_CLAIM = Prepared(
    update(runs)
    .where(
        runs.c.run_id == bindparam("of_id"),
        runs.c.status == "pending",
        ~exists().where(
            _other_held.c.thread_id == runs.c.thread_id,
            _other_held.c.settled_at.is_(None),
            _other_held.c.worker_id.is_not(None),
        ),
    )
    .values(
        status="running",
        worker_id=bindparam("by_worker"),
        lease_expires_at=bindparam("until"),
        attempt=runs.c.attempt + 1,
        updated_at=bindparam("now"),
        started_at=func.coalesce(runs.c.started_at, bindparam("now")),
    )
    .returning(*runs.c)
)


def claim(conn: Connection, worker_id: str, limit: int, now: int, until: int) -> list[Row[*tuple[Any, ...]]]:
    """Give at most `limit` due runs to a worker until `until`; at most one run of a thread is held at any time.

    The rows are locked first. Only a second statement sees what other workers did before they gave the locks back.
    """
    due = _DUE.rows(conn, {"limit": limit, "now": now})
    by = {"by_worker": worker_id, "now": now, "until": until}
    asked = [_CLAIM.ask(conn, {"of_id": row.run_id, **by}) for row in due]
    return [row for each in asked for row in each.rows()]


_NEXT_DUE_AT = select(func.min(runs.c.created_at)).where(
    runs.c.settled_at.is_(None), runs.c.status == "pending", runs.c.created_at > bindparam("now")
)


def next_due_at(conn: Connection, now: int) -> int | None:
    """When the earliest run that is scheduled for later is due."""
    due: int | None = conn.execute(_NEXT_DUE_AT, {"now": now}).scalar()
    return due


_RENEW = (
    update(runs)
    .where(runs.c.worker_id == bindparam("by_worker"), runs.c.run_id.in_(bindparam("run_ids", expanding=True)))
    .values(lease_expires_at=bindparam("until"))
)


def renew(conn: Connection, worker_id: str, run_ids: Sequence[str], until: int) -> None:
    """Extend the leases of runs that a worker holds."""
    conn.execute(_RENEW, {"by_worker": worker_id, "run_ids": list(run_ids), "until": until})


_HOLDINGS = select(runs.c.run_id, runs.c.stop_action, runs.c.updated_at).where(
    runs.c.worker_id == bindparam("worker_id"), runs.c.settled_at.is_(None)
)


def holdings(conn: Connection, worker_id: str) -> list[Row[*tuple[Any, ...]]]:
    """Ids of the runs that a worker holds, with what became of each: whether it was cancelled, and when it was changed."""
    return list(conn.execute(_HOLDINGS, {"worker_id": worker_id}))


_HOLDING = (
    select(runs)
    .where(
        runs.c.worker_id == bindparam("worker_id"),
        runs.c.settled_at.is_(None),
        runs.c.run_id.in_(bindparam("run_ids", expanding=True)),
    )
    .with_for_update(key_share=True, skip_locked=True)
)


def holding(conn: Connection, worker_id: str, run_ids: Sequence[str]) -> list[Row[*tuple[Any, ...]]]:
    """Those of the runs that the worker holds and nobody else is dealing with. Nobody takes them over before the transaction ends."""
    return list(conn.execute(_HOLDING, {"worker_id": worker_id, "run_ids": list(run_ids)}))


_EXPIRED = (
    select(runs)
    .where(
        runs.c.settled_at.is_(None),
        runs.c.status.in_(("running", "interrupted")),
        runs.c.worker_id.is_not(None),
        runs.c.lease_expires_at < bindparam("now"),
    )
    .with_for_update(key_share=True, skip_locked=True)
)


def expired(conn: Connection, now: int) -> list[Row[*tuple[Any, ...]]]:
    """Runs whose worker has not renewed its lease in time, and that nobody else is dealing with."""
    return list(conn.execute(_EXPIRED, {"now": now}))


_other = runs.alias("other")
_WAITING = select(
    runs.c.created_at,
    runs.c.thread_id,
    exists()
    .where(_other.c.thread_id == runs.c.thread_id, _other.c.settled_at.is_(None), _other.c.worker_id.is_not(None))
    .label("blocked"),
).where(
    runs.c.settled_at.is_(None),
    runs.c.status == "pending",
    runs.c.created_at <= bindparam("now"),
)
_RUNNING_COUNT = select(func.count()).where(runs.c.settled_at.is_(None), runs.c.status == "running")


def queue_figures(conn: Connection, now: int) -> tuple[list[Row[*tuple[Any, ...]]], int]:
    """Creation time and thread of every due pending run, and whether its thread is held; how many runs are running."""
    waiting = list(conn.execute(_WAITING, {"now": now}))
    return waiting, conn.execute(_RUNNING_COUNT).scalar_one()
