"""A thread's row after one of its finished runs was deleted: values, interrupts and status follow from what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from waystation.auth.access import EVERYTHING
from waystation.encoding import encode, to_plain
from waystation.errors import Conflict, NotFound
from waystation.runs import lifecycle
from waystation.storage import checkpoints
from waystation.storage.tables import runs, threads
from waystation.threads.snapshot import interrupts_by_task
from waystation.threads.state_queries import StateSource, state_source
from waystation.threads.thread_graph import opened, state_config
from waystation.timestamps import now_us, parse_iso

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["refresh_state"]

ATTEMPTS = 5
"""How often the state is read anew because somebody has edited it meanwhile."""

_FAILED = ("error", "timeout")

_LAST_RUN = (
    select(runs.c.status, runs.c.settled_at)
    .where(runs.c.thread_id == bindparam("thread_id"), runs.c.settled_at.is_not(None))
    .order_by(runs.c.settled_at.desc())
    .limit(1)
)
_STATE_UPDATED = select(threads.c.state_updated_at).where(threads.c.thread_id == bindparam("thread_id"))


class _Left(Struct, frozen=True):
    """What is left of a thread."""

    source: StateSource
    newest: str | None
    """The id of the newest checkpoint."""
    status: str | None
    """Of the last run that ended."""
    ended_at: int


class _State(Struct, frozen=True):
    """What the newest checkpoint says about the thread."""

    values: Any = None
    interrupts: Any = None
    pending: bool = False
    edited_at: int | None = None
    """When, if the checkpoint is a client's edit and not a run's."""


async def refresh_state(server: Server, thread_id: str) -> None:
    """Compute the row of a thread anew after one of its finished runs was deleted.

    Nothing happens if the last run left is the one that the row shows already, while a run is in flight (it will write the row
    when it ends), and when the thread is gone. Values that no graph of this server can read are not shown.
    """
    for _ in range(ATTEMPTS):
        left = await server.db.read(_left, thread_id)
        if left is None:
            return
        state = await _state(server, left)
        if await server.db.write(_record, left, state):
            return


def _left(conn: Connection, thread_id: str) -> _Left | None:
    try:
        source = state_source(conn, thread_id, EVERYTHING)
    except NotFound:
        return None
    run = conn.execute(_LAST_RUN, {"thread_id": thread_id}).first()
    if run is not None and run.settled_at == conn.execute(_STATE_UPDATED, {"thread_id": thread_id}).scalar_one():
        return None
    newest = checkpoints.newest_checkpoint_id(conn, thread_id)
    return _Left(source, newest, run.status if run else None, run.settled_at if run else 0)


async def _state(server: Server, left: _Left) -> _State:
    if left.newest is None or left.source.graph_id is None:
        return _State()
    config = state_config(left.source, {"thread_id": left.source.thread_id, "checkpoint_ns": ""}, None)
    try:
        async with opened(
            server, left.source.graph_id, config, "threads.read", workspace=left.source.workspace
        ) as graph:
            snapshot = await graph.aget_state(config)
    except NotFound:
        return _State()
    by_client = snapshot.created_at is not None and "run_id" not in (snapshot.metadata or {})
    return _State(
        values=orjson.Fragment(encode(snapshot.values)),
        interrupts=to_plain(interrupts_by_task(snapshot)),
        pending=bool(snapshot.next),
        edited_at=parse_iso(snapshot.created_at) if by_client and snapshot.created_at else None,
    )


def _record(conn: Connection, left: _Left, state: _State) -> bool:
    """Write the row; False when the state is not the newest any more."""
    thread_id = left.source.thread_id
    try:
        lifecycle.require_no_run_in_flight(conn, thread_id)
    except Conflict:
        return True
    if checkpoints.newest_checkpoint_id(conn, thread_id) != left.newest:
        return False
    edited = state.edited_at is not None and state.edited_at > left.ended_at
    lifecycle.record_state(
        conn,
        thread_id,
        values=state.values,
        interrupts=state.interrupts or {},
        pending=state.pending,
        now=now_us(),
        failed=left.status in _FAILED and not edited,
    )
    return True
