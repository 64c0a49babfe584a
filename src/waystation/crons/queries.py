"""SQL of crons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import NotFound
from waystation.storage.containment import contains
from waystation.storage.sealing import require_searchable
from waystation.storage.tables import assistants, crons, threads

__all__ = [
    "Filters",
    "count",
    "create",
    "due",
    "find_due",
    "get",
    "lock",
    "move_on",
    "next_due_at",
    "remove",
    "search",
    "take",
    "update_columns",
    "workspace_of",
]

S = TypeVar("S", bound=Select[Any])


class Filters(Struct, frozen=True):
    """All that are given must match; `metadata` by containment."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: Mapping[str, Any] | None = None

    def narrow(self, statement: S) -> S:
        if self.assistant_id is not None:
            statement = statement.where(crons.c.assistant_id == self.assistant_id)
        if self.thread_id is not None:
            statement = statement.where(crons.c.thread_id == self.thread_id)
        if self.enabled is not None:
            statement = statement.where(crons.c.enabled == self.enabled)
        if self.metadata:
            require_searchable(crons.c.metadata, self.metadata)
            statement = statement.where(contains(crons.c.metadata, encode(self.metadata)))
        return statement


_FIND = select(crons).where(crons.c.cron_id == bindparam("cron_id"))
_LOCK = _FIND.with_for_update(key_share=True)
_UPDATE = update(crons).where(crons.c.cron_id == bindparam("of_cron"))
_DELETE = delete(crons).where(crons.c.cron_id == bindparam("of_cron"))

_going = (crons.c.enabled, crons.c.next_run_date.is_not(None))

_DUE = (
    select(crons.c.cron_id, crons.c.next_run_date)
    .where(*_going, crons.c.next_run_date <= bindparam("now"))
    .order_by(crons.c.next_run_date, crons.c.cron_id)
    .limit(bindparam("limit"))
)
_NEXT_DUE_AT = select(func.min(crons.c.next_run_date)).where(*_going)
_FIND_DUE = _FIND.where(*_going, crons.c.next_run_date == bindparam("slot"))
_TAKE = _FIND_DUE.with_for_update(key_share=True, skip_locked=True)
_WORKSPACE_OF_THREAD = select(threads.c.workspace).where(threads.c.thread_id == bindparam("thread_id"))
_WORKSPACE_OF_ASSISTANT = select(assistants.c.workspace).where(assistants.c.assistant_id == bindparam("assistant_id"))
_MOVE_ON = (
    update(crons)
    .where(crons.c.cron_id == bindparam("of_cron"), crons.c.next_run_date == bindparam("slot"))
    .values(next_run_date=bindparam("following"))
)


def create(conn: Connection, row: Mapping[str, Any]) -> None:
    """Store a new cron."""
    conn.execute(insert(crons), dict(row))


def workspace_of(conn: Connection, row: Mapping[str, Any]) -> str | None:
    """Where a new cron belongs: to its thread, else to its assistant. None when that is one of the server's, and no matter."""
    if row["thread_id"] is not None:
        found = conn.execute(_WORKSPACE_OF_THREAD, {"thread_id": row["thread_id"]}).scalar()
    else:
        found = conn.execute(_WORKSPACE_OF_ASSISTANT, {"assistant_id": row["assistant_id"]}).scalar()
    return found


def get(conn: Connection, cron_id: str, access: Access) -> dict[str, Any]:
    """A cron's row. Raises NotFound."""
    return _one(conn, _FIND, cron_id, access)


def lock(conn: Connection, cron_id: str, access: Access) -> dict[str, Any]:
    """`get`; nobody else changes or fires the cron before the transaction ends."""
    return _one(conn, _LOCK, cron_id, access)


def update_columns(conn: Connection, cron_id: str, changes: Mapping[str, Any]) -> None:
    """Overwrite columns of a cron that is locked."""
    conn.execute(_UPDATE.values(dict(changes)), {"of_cron": cron_id})


def remove(conn: Connection, cron_id: str, access: Access) -> None:
    """Delete a cron. Raises NotFound."""
    if not conn.execute(access.limit(_DELETE, crons.c.metadata), {"of_cron": cron_id}).rowcount:
        raise _missing(cron_id)


def search(
    conn: Connection, filters: Filters, sort_by: str, sort_order: str, limit: int, offset: int, access: Access
) -> list[dict[str, Any]]:
    """At most ``limit + 1`` rows, none of a thread that the caller cannot see. Crons without a value in the column stand last."""
    column = crons.c[sort_by]
    order: list[ColumnElement[Any]] = [column.is_(None)]
    order += [key.asc() if sort_order == "asc" else key.desc() for key in (column, crons.c.cron_id)]
    statement = filters.narrow(select(crons)).order_by(*order).limit(limit + 1).offset(offset)
    return [row._asdict() for row in conn.execute(_limited(statement, access))]


def count(conn: Connection, filters: Filters, access: Access) -> int:
    """How many crons `search` finds."""
    statement = filters.narrow(select(func.count()).select_from(crons))
    found: int = conn.execute(_limited(statement, access)).scalar_one()
    return found


# --- for the scheduler, which serves all users


def due(conn: Connection, now: int, limit: int) -> list[Row[*tuple[Any, ...]]]:
    """Id and slot of at most `limit` crons that are to fire, the longest due first."""
    return list(conn.execute(_DUE, {"now": now, "limit": limit}))


def next_due_at(conn: Connection) -> int | None:
    """The earliest slot of any cron, which may be over already."""
    found: int | None = conn.execute(_NEXT_DUE_AT).scalar()
    return found


def find_due(conn: Connection, cron_id: str, slot: int) -> dict[str, Any] | None:
    """The cron, if nobody has fired it or taken the slot from it since it was `due`."""
    row = conn.execute(_FIND_DUE, {"cron_id": cron_id, "slot": slot}).first()
    return None if row is None else row._asdict()


def take(conn: Connection, cron_id: str, slot: int) -> dict[str, Any] | None:
    """`find_due`, locked until the transaction ends; None also when somebody else is just firing or changing it."""
    row = conn.execute(_TAKE, {"cron_id": cron_id, "slot": slot}).first()
    return None if row is None else row._asdict()


def move_on(conn: Connection, cron_id: str, slot: int, following: int | None) -> None:
    """Let `following` be the next slot, if `slot` still is."""
    conn.execute(_MOVE_ON, {"of_cron": cron_id, "slot": slot, "following": following})


def _limited(statement: Select[Any], access: Access) -> Select[Any]:
    statement = access.limit(statement, crons.c.metadata)
    if access.limits(threads.c.metadata) is None:
        return statement
    its_thread = select(threads.c.thread_id).where(threads.c.thread_id == crons.c.thread_id).correlate(crons)
    visible = exists(access.limit(its_thread, threads.c.metadata).subquery())
    return statement.where(or_(crons.c.thread_id.is_(None), visible))


def _one(conn: Connection, statement: Select[Any], cron_id: str, access: Access) -> dict[str, Any]:
    row = conn.execute(access.limit(statement, crons.c.metadata), {"cron_id": cron_id}).first()
    if row is None:
        raise _missing(cron_id)
    return row._asdict()


def _missing(cron_id: str) -> NotFound:
    return NotFound(f"There is no cron {cron_id}.")
