"""SQL of thread rows: creating, reading, changing, copying, deleting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.dialects import postgresql

from waystation.auth.access import DEFAULT_WORKSPACE, Access
from waystation.errors import Conflict, NotFound
from waystation.storage import checkpoints
from waystation.storage.prepared import Prepared
from waystation.storage.tables import threads
from waystation.streams import queries as event_queries
from waystation.threads.owned import changed_metadata
from waystation.threads.ttl import Ttl, ttl_columns
from waystation.threads.wire import COLUMNS, TTL_COLUMNS

__all__ = ["change", "copy", "create", "existing", "get", "new_row", "patch", "require", "source_of_copy", "visible"]

_COLUMNS = (
    "thread_id",
    "status",
    "rest_status",
    "metadata",
    "config",
    "values",
    "interrupts",
    "error",
    "created_at",
    "updated_at",
    "state_updated_at",
    "ttl_strategy",
    "ttl_minutes",
    "expires_at",
    "workspace",
)
_OWNED_COLUMNS = (*_COLUMNS, "owner_id", "agent_id", "title", "is_pinned", "is_test_run", "unread")
_INSERT_NEW = postgresql.insert(threads).on_conflict_do_nothing(index_elements=["thread_id"])
_INSERT = Prepared(_INSERT_NEW, _COLUMNS)
_INSERT_OWNED = Prepared(_INSERT_NEW, _OWNED_COLUMNS)
_GET = Prepared(select(*COLUMNS, *TTL_COLUMNS).where(threads.c.thread_id == bindparam("thread_id")))
_EXISTS = select(threads.c.thread_id).where(threads.c.thread_id == bindparam("thread_id"))
_METADATA = select(threads.c.metadata).where(threads.c.thread_id == bindparam("thread_id"))
_COPIED = ("owner_id", "agent_id", "title", "is_pinned", "is_test_run")
_SOURCE = select(threads.c.workspace, *(threads.c[name] for name in _COPIED)).where(
    threads.c.thread_id == bindparam("thread_id")
)
_LOCKED_METADATA = (
    select(threads.c.metadata, threads.c.owner_id)
    .where(threads.c.thread_id == bindparam("thread_id"))
    .with_for_update()
)
_AMONG = select(threads.c.thread_id).where(threads.c.thread_id.in_(bindparam("thread_ids", expanding=True)))
_PATCH = update(threads).where(threads.c.thread_id == bindparam("of_thread"))


def new_row(
    thread_id: str, metadata: Mapping[str, Any], ttl: Ttl | None, now: int, workspace: str = DEFAULT_WORKSPACE
) -> dict[str, Any]:
    """The row of a thread that has not run yet."""
    return {
        "thread_id": thread_id,
        "status": "idle",
        "rest_status": "idle",
        "metadata": metadata,
        "config": {},
        "values": None,
        "interrupts": {},
        "error": None,
        "created_at": now,
        "updated_at": now,
        "state_updated_at": now,
        **ttl_columns(ttl, now),
        "workspace": workspace,
    }


def _insert(row: Mapping[str, Any]) -> Prepared:
    return _INSERT_OWNED if "owner_id" in row else _INSERT


def create(
    conn: Connection,
    row: Mapping[str, Any],
    if_exists: Literal["raise", "do_nothing"],
    access: Access,
    *,
    chosen_id: bool = False,
) -> Row[*tuple[Any, ...]] | None:
    """Store a `new_row`, which may have `waystation.threads.owned.new_columns`; None when that was done, else the thread that has the id already. Raises Conflict (spec 3.2).

    With a `chosen_id` there may have been a thread before that had it: what is left of that one's stream is not for this one."""
    if _insert(row).count(conn, row):
        if chosen_id:
            event_queries.delete_of_thread(conn, row["thread_id"])
        return None
    thread_id = row["thread_id"]
    if if_exists == "do_nothing":
        present: Row[*tuple[Any, ...]] | None = _GET.within(access, threads.c.metadata).first(
            conn, {"thread_id": thread_id}
        )
        if present is not None:
            return present
    raise Conflict(f"The thread {thread_id} already exists.")


def get(conn: Connection, thread_id: str, access: Access) -> Row[*tuple[Any, ...]]:
    """A thread as `wire.COLUMNS` and `wire.TTL_COLUMNS`. Raises NotFound."""
    row: Row[*tuple[Any, ...]] | None = _GET.within(access, threads.c.metadata).first(conn, {"thread_id": thread_id})
    if row is None:
        raise _missing(thread_id)
    return row


def require(conn: Connection, thread_id: str, access: Access) -> None:
    """Raise NotFound unless there is such a thread."""
    if conn.execute(access.limit(_EXISTS, threads.c.metadata), {"thread_id": thread_id}).first() is None:
        raise _missing(thread_id)


def patch(
    conn: Connection, thread_id: str, metadata: Mapping[str, Any], ttl: Ttl | None, now: int, access: Access
) -> Row[*tuple[Any, ...]]:
    """`change`, and the row after it as `get`."""
    change(conn, thread_id, metadata, now, access, **(ttl_columns(ttl, now) if ttl else {}))
    return get(conn, thread_id, access)


def change(
    conn: Connection,
    thread_id: str,
    metadata: Mapping[str, Any],
    now: int,
    access: Access,
    *,
    remove_nulls: bool = False,
    **values: Any,
) -> None:
    """Merge `metadata` into the thread's, without members that are null if `remove_nulls`; overwrite the columns `values`.
    Raises NotFound, and what `changed_metadata` does if it is a thread of an agent."""
    current = conn.execute(access.limit(_LOCKED_METADATA, threads.c.metadata), {"thread_id": thread_id}).first()
    if current is None:
        raise _missing(thread_id)
    if metadata and current.owner_id is not None:
        merged, columns = changed_metadata(current.metadata, metadata, remove_nulls=remove_nulls)
        values = {**values, **columns, "metadata": merged}
    elif metadata:
        values["metadata"] = {**current.metadata, **metadata}
    conn.execute(_PATCH, {"of_thread": thread_id, "updated_at": now, **values})


def source_of_copy(conn: Connection, thread_id: str, access: Access) -> dict[str, Any]:
    """The metadata of a thread that is to be copied. Raises Conflict (spec 3.2)."""
    source = conn.execute(access.limit(_METADATA, threads.c.metadata), {"thread_id": thread_id}).first()
    if source is None:
        raise Conflict
    metadata: dict[str, Any] = source[0]
    return metadata


def copy(
    conn: Connection,
    thread_id: str,
    new_id: str,
    metadata: Mapping[str, Any],
    ttl: Ttl | None,
    now: int,
    access: Access,
) -> dict[str, Any]:
    """Store a thread with the checkpoints of another, in the same workspace; returns its row. Raises Conflict (spec 3.2)."""
    source = conn.execute(access.limit(_SOURCE, threads.c.metadata), {"thread_id": thread_id}).first()
    if source is None:
        raise Conflict
    row = new_row(new_id, metadata, ttl, now, source.workspace)
    if source.owner_id is not None:
        row |= {name: source._mapping[name] for name in _COPIED} | {"unread": False}
    _insert(row).run(conn, row)
    checkpoints.copy_thread(conn, thread_id, new_id)
    return row


def visible(conn: Connection, thread_ids: Sequence[str], access: Access) -> list[str]:
    """Those of `thread_ids` that exist and that the caller may see."""
    return list(conn.execute(access.limit(_AMONG, threads.c.metadata), {"thread_ids": list(thread_ids)}).scalars())


def existing(conn: Connection, thread_ids: Sequence[str]) -> list[str]:
    """Those of `thread_ids` that exist, whoever they belong to: only to tell a forbidden id from an unknown one."""
    return list(conn.execute(_AMONG, {"thread_ids": list(thread_ids)}).scalars())


def _missing(thread_id: str) -> NotFound:
    return NotFound(f"There is no thread {thread_id}.")
