"""SQL of thread state: what it takes to reopen the graph of a thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from waystation.auth.access import Access
from waystation.errors import NotFound
from waystation.storage.tables import runs, threads

__all__ = ["StateSource", "state_source"]

_SOURCE = select(
    threads.c.metadata,
    threads.c.config,
    threads.c.workspace,
    select(runs.c.graph_id)
    .where(runs.c.thread_id == threads.c.thread_id)
    .order_by(runs.c.created_at.desc(), runs.c.run_id.desc())
    .limit(1)
    .scalar_subquery()
    .label("graph_of_newest_run"),
).where(threads.c.thread_id == bindparam("thread_id"))


class StateSource(Struct, frozen=True):
    """Which graph reads and writes a thread's checkpoints, and the configurables it is opened with."""

    thread_id: str
    graph_id: str | None
    configurable: Mapping[str, Any]
    workspace: str


def state_source(conn: Connection, thread_id: str, access: Access) -> StateSource:
    """The thread's `StateSource`; its graph is ``metadata.graph_id``, else that of its newest run. Raises NotFound."""
    row = conn.execute(access.limit(_SOURCE, threads.c.metadata), {"thread_id": thread_id}).first()
    if row is None:
        raise NotFound(f"There is no thread {thread_id}.")
    named = (row.metadata or {}).get("graph_id")
    graph_id = named if isinstance(named, str) and named else row.graph_of_newest_run
    return StateSource(thread_id, graph_id, (row.config or {}).get("configurable") or {}, row.workspace)
