"""SQL of tasks: what is stored of them, and the run and the thread that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from waystation.a2a.states import Generation
from waystation.auth.access import Access
from waystation.storage.tables import a2a_tasks, runs, threads

__all__ = ["Push", "count", "find", "find_locked", "move", "of_run", "page", "put", "set_pushes"]


class Push(TypedDict):
    """Whom to notify of a task, and how."""

    id: str
    url: str
    token: str | None
    scheme: str | None
    credentials: str | None
    generation: Generation


_later = runs.alias("later_runs")
_newest = not_(
    exists(
        select(_later.c.run_id).where(
            _later.c.thread_id == a2a_tasks.c.thread_id, _later.c.created_at > runs.c.created_at
        )
    )
)
_awaits = and_(runs.c.status == "success", threads.c.status == "interrupted", _newest)
_updated_at = func.coalesce(runs.c.updated_at, a2a_tasks.c.created_at)
_of_runs = a2a_tasks.join(threads, threads.c.thread_id == a2a_tasks.c.thread_id).outerjoin(
    runs, runs.c.run_id == a2a_tasks.c.run_id
)
_TASKS = select(
    a2a_tasks.c.task_id,
    a2a_tasks.c.thread_id,
    a2a_tasks.c.assistant_id,
    a2a_tasks.c.run_id,
    a2a_tasks.c.message_id,
    a2a_tasks.c.pushes,
    runs.c.status,
    _updated_at.label("updated_at"),
    _newest.label("newest"),
    _awaits.label("awaits"),
).select_from(_of_runs)
_FIND = _TASKS.add_columns(threads.c["values"], threads.c.interrupts, threads.c.error).where(
    a2a_tasks.c.task_id == bindparam("task_id"), a2a_tasks.c.assistant_id == bindparam("assistant_id")
)
_LOCK = select(threads.c.thread_id).where(threads.c.thread_id == bindparam("thread_id")).with_for_update()
_OF_RUN = select(a2a_tasks).where(a2a_tasks.c.run_id == bindparam("run_id"))
_MOVE = update(a2a_tasks).where(a2a_tasks.c.task_id == bindparam("of_task"))

_STATES: dict[str, ColumnElement[bool]] = {
    "submitted": runs.c.status == "pending",
    "working": runs.c.status == "running",
    "completed": and_(runs.c.status == "success", not_(_awaits)),
    "input-required": _awaits,
    "canceled": or_(runs.c.run_id.is_(None), runs.c.status == "interrupted"),
    "failed": runs.c.status.in_(("error", "timeout")),
}
"""What `waystation.a2a.states.state_of` says, for SQL."""


def find(conn: Connection, task_id: str, assistant_id: str, access: Access) -> Row[*tuple[Any, ...]] | None:
    """A task of an assistant with its latest run and its thread; None when there is none that the caller may see."""
    statement = access.limit(_FIND, threads.c.metadata)
    return conn.execute(statement, {"task_id": task_id, "assistant_id": assistant_id}).first()


def find_locked(conn: Connection, task_id: str, assistant_id: str, thread_id: str, access: Access) -> Any:
    """`find`, with the task's thread locked."""
    if conn.dialect.name != "sqlite":  # there, a transaction that writes is alone
        conn.execute(_LOCK, {"thread_id": thread_id})
    return find(conn, task_id, assistant_id, access)


def page(
    conn: Connection,
    assistant_id: str,
    access: Access,
    *,
    thread_id: str | None,
    state: str | None,
    after: int | None,
    limit: int,
    offset: int,
) -> Sequence[Row[*tuple[Any, ...]]]:
    """At most `limit` tasks, those that have changed last first, without what their threads hold."""
    statement = _chosen(_TASKS, assistant_id, access, thread_id, state, after)
    ordered = statement.order_by(_updated_at.desc(), a2a_tasks.c.task_id.desc())
    return conn.execute(ordered.limit(limit).offset(offset)).all()


def count(
    conn: Connection, assistant_id: str, access: Access, *, thread_id: str | None, state: str | None, after: int | None
) -> int:
    """How many tasks match."""
    statement = select(func.count()).select_from(_of_runs)
    found: int = conn.execute(_chosen(statement, assistant_id, access, thread_id, state, after)).scalar_one()
    return found


def put(
    conn: Connection,
    *,
    task_id: str,
    thread_id: str,
    assistant_id: str,
    run_id: str,
    message_id: str | None,
    pushes: Sequence[Push],
    now: int,
) -> None:
    """Store a task that begins with this run. Part of the transaction that stores the run."""
    row = {
        "task_id": task_id,
        "thread_id": thread_id,
        "assistant_id": assistant_id,
        "run_id": run_id,
        "message_id": message_id,
        "pushes": list(pushes),
        "created_at": now,
    }
    conn.execute(insert(a2a_tasks), row)


def move(conn: Connection, task_id: str, run_id: str, pushes: Sequence[Push]) -> None:
    """The task goes on with this run."""
    conn.execute(_MOVE.values(run_id=run_id, pushes=list(pushes)), {"of_task": task_id})


def set_pushes(conn: Connection, task_id: str, pushes: Sequence[Push]) -> None:
    """Whom to notify of the task."""
    conn.execute(_MOVE.values(pushes=list(pushes)), {"of_task": task_id})


def of_run(conn: Connection, run_id: str) -> Row[*tuple[Any, ...]] | None:
    """The task whose latest run this is."""
    return conn.execute(_OF_RUN, {"run_id": run_id}).first()


def _chosen(
    statement: Select[Any],
    assistant_id: str,
    access: Access,
    thread_id: str | None,
    state: str | None,
    after: int | None,
) -> Select[Any]:
    chosen = statement.where(a2a_tasks.c.assistant_id == assistant_id)
    if thread_id is not None:
        chosen = chosen.where(a2a_tasks.c.thread_id == thread_id)
    if state is not None:
        chosen = chosen.where(_STATES.get(state, false()))
    if after is not None:
        chosen = chosen.where(_updated_at > after)
    return access.limit(chosen, threads.c.metadata)
