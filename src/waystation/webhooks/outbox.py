"""SQL of the outbox. A delivery is due at a time; whoever claims it moves that time on, which is its lease: if the process dies,
the delivery is due once more. The number of the attempt tells a process whether the delivery is still its own."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, not_, select, update
from uuid_utils import uuid7

from waystation.auth.access import Access
from waystation.storage.prepared import Prepared
from waystation.storage.tables import threads, webhook_deliveries

__all__ = ["Delivery", "claim", "finish", "next_due_at", "of_run", "put", "release", "remove_finished", "retry"]

_table = webhook_deliveries
_not_local = not_(_table.c.url.startswith("/"))

_PUT = Prepared(
    insert(_table),
    (
        "delivery_id",
        "thread_id",
        "run_id",
        "url",
        "body",
        "headers",
        "status",
        "attempts",
        "due_at",
        "log",
        "created_at",
    ),
)
_NEXT_DUE_AT = select(func.min(_table.c.due_at)).where(_table.c.due_at.is_not(None))
_DUE = (
    select(_table.c.delivery_id)
    .where(_table.c.due_at <= bindparam("now"))
    .order_by(_table.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(_table)
    .where(_table.c.delivery_id.in_(bindparam("ids", expanding=True)))
    .values(due_at=bindparam("until"), attempts=_table.c.attempts + 1)
    .returning(
        _table.c.delivery_id,
        _table.c.run_id,
        _table.c.url,
        _table.c.body,
        _table.c.attempts,
        _table.c.log,
        _table.c.headers,
    )
)
_MINE = update(_table).where(
    _table.c.delivery_id == bindparam("of_delivery"),
    _table.c.attempts == bindparam("of_attempt"),
    _table.c.due_at.is_not(None),
)
_OF_RUN = (
    select(*(column for column in _table.c if column.name not in ("body", "headers")))
    .join(threads, threads.c.thread_id == _table.c.thread_id)
    .where(_table.c.run_id == bindparam("run_id"), _table.c.thread_id == bindparam("thread_id"))
    .order_by(_table.c.created_at, _table.c.delivery_id)
)
_FINISHED = select(_table.c.delivery_id).where(_table.c.finished_at < bindparam("before")).limit(bindparam("limit"))


class Delivery(Struct, frozen=True):
    """A delivery that this process has claimed."""

    delivery_id: str
    run_id: str
    url: str
    body: bytes
    """The payload as JSON, without the time of sending."""
    attempt: int
    log: list[dict[str, Any]]
    """What became of the attempts before."""
    headers: bytes | None = None
    """Of a delivery that is no webhook of a run but in another protocol's form: its own headers as JSON. Its body is sent as it is."""


def put(
    conn: Connection, *, thread_id: str, run_id: str, url: str, body: bytes, now: int, headers: bytes | None = None
) -> None:
    """Have `body`, a JSON object, delivered to `url`; `now` in microseconds, `headers` as in `Delivery`. Part of the transaction
    that it tells of."""
    row: dict[str, Any] = {
        "delivery_id": str(uuid7()),
        "thread_id": thread_id,
        "run_id": run_id,
        "url": url,
        "body": body,
        "headers": headers,
        "status": "pending",
        "attempts": 0,
        "due_at": now,
        "log": [],
        "created_at": now,
    }
    _PUT.run(conn, row)


def next_due_at(conn: Connection, *, local: bool) -> int | None:
    """When the next delivery is due, which may be over; None when there is nothing to deliver. Without `local`, of those that
    go to other servers."""
    statement = _NEXT_DUE_AT if local else _NEXT_DUE_AT.where(_not_local)
    found: int | None = conn.execute(statement).scalar()
    return found


def claim(conn: Connection, now: int, until: int, limit: int, *, local: bool) -> list[Delivery]:
    """Take at most `limit` deliveries that are due, until `until`; `local` as above."""
    due = _DUE if local else _DUE.where(_not_local)
    ids = list(conn.execute(due, {"now": now, "limit": limit}).scalars())
    if not ids:
        return []
    rows = conn.execute(_CLAIM, {"ids": ids, "until": until}).all()
    return [
        Delivery(row.delivery_id, row.run_id, row.url, row.body, row.attempts, row.log, row.headers) for row in rows
    ]


def finish(conn: Connection, delivery: Delivery, status: str, entry: dict[str, Any], now: int) -> None:
    """The delivery is over: `status` is ``delivered`` or ``failed``. Nothing happens if it is not this process's any more."""
    _write(
        conn, delivery, status=status, log=[*delivery.log, entry], due_at=None, body=None, headers=None, finished_at=now
    )


def retry(conn: Connection, delivery: Delivery, entry: dict[str, Any], due_at: int) -> None:
    """Try it again at `due_at` (microseconds)."""
    _write(conn, delivery, log=[*delivery.log, entry], due_at=due_at)


def release(conn: Connection, delivery: Delivery, now: int) -> None:
    """Let somebody else make this attempt: the process stops."""
    _write(conn, delivery, attempts=delivery.attempt - 1, due_at=now)


def of_run(conn: Connection, thread_id: str, run_id: str, access: Access) -> list[Row[*tuple[Any, ...]]]:
    """The deliveries of a run."""
    statement = access.limit(_OF_RUN, threads.c.metadata)
    return list(conn.execute(statement, {"thread_id": thread_id, "run_id": run_id}))


def remove_finished(conn: Connection, before: int, limit: int) -> int:
    """Forget at most `limit` deliveries that were over before `before` (microseconds); returns how many."""
    ids = list(conn.execute(_FINISHED, {"before": before, "limit": limit}).scalars())
    if ids:
        conn.execute(delete(_table).where(_table.c.delivery_id.in_(ids)))
    return len(ids)


def _write(conn: Connection, delivery: Delivery, **values: Any) -> None:
    conn.execute(_MINE.values(**values), {"of_delivery": delivery.delivery_id, "of_attempt": delivery.attempt})
