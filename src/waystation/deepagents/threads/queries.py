"""SQL of threads of agents, as far as it is not that of all threads (`waystation.threads.queries`).

Every `Access` here is one of a `ThreadCall`: to the caller's own threads of agents alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from waystation import errors
from waystation.auth.access import OWNER, Access
from waystation.deepagents.agents import queries as agents
from waystation.deepagents.agents.permissions import Level
from waystation.deepagents.errors import ThreadNotFound
from waystation.deepagents.identity import Principal
from waystation.deepagents.threads.models import NewThread, ThreadUpdate
from waystation.deepagents.threads.wire import SUMMARY, WHOLE
from waystation.errors import Conflict
from waystation.reserved import MANAGED_GRAPH
from waystation.storage.tables import ATTENTION, threads
from waystation.threads import queries
from waystation.threads.owned import SERVER_OWNED, changed_metadata, new_columns
from waystation.threads.ttl import Ttl

__all__ = ["attention_count", "create", "find", "find_whole", "owner_members", "update"]

_t = threads.c

_FIND = select(*SUMMARY).where(_t.thread_id == bindparam("thread_id"))
_FIND_WHOLE = select(*WHOLE).where(_t.thread_id == bindparam("thread_id"))


def owner_members(principal: Principal, agent_id: str) -> dict[str, Any]:
    """The members of a thread's metadata that say whose it is (`waystation.threads.owned.SERVER_OWNED`)."""
    return {
        OWNER: principal.user_id,
        "tenant_id": principal.tenant_id,
        "graph_id": MANAGED_GRAPH,
        "assistant_id": agent_id,
    }


def create(
    conn: Connection,
    thread_id: str,
    agent_id: str,
    body: NewThread,
    metadata: Mapping[str, Any],
    principal: Principal,
    access: Access,
    agent_access: Access,
    ttl: Ttl | None,
    now: int,
) -> Row[Any]:
    """Store a new thread of an agent that the caller may run; its row as `find` gives it. With ``if_exists: do_nothing`` that may
    be the thread which is there. `metadata` is the client's and the handlers'; of the server's own members that of the server
    counts.

    Raises AgentNotFound, AccessDenied, Conflict, and UnprocessableInput for a switch that is none."""
    agents.find(conn, agent_id, principal, agent_access, Level.RUN)
    own = owner_members(principal, agent_id)
    given = {key: value for key, value in metadata.items() if key not in SERVER_OWNED}
    stored, columns = changed_metadata(own, {**given, **body.switches}, remove_nulls=True)
    row = queries.new_row(thread_id, stored, ttl, now, principal.workspace)
    row |= new_columns(principal.user_id, agent_id, stored) | columns
    present = queries.create(
        conn,
        row,
        "do_nothing" if body.if_exists == "do_nothing" else "raise",
        access,
        chosen_id=body.thread_id is not None,
    )
    found = find(conn, thread_id, access)
    if present is not None and found.agent_id != agent_id:
        raise Conflict(f"choose another thread_id, or that agent: {thread_id} is a thread of agent {found.agent_id}")
    return found


def find(conn: Connection, thread_id: str, access: Access) -> Row[Any]:
    """A thread as `wire.SUMMARY`. Raises ThreadNotFound."""
    return _first(conn, _FIND, thread_id, access)


def find_whole(conn: Connection, thread_id: str, access: Access) -> Row[Any]:
    """A thread as `wire.WHOLE`. Raises ThreadNotFound."""
    return _first(conn, _FIND_WHOLE, thread_id, access)


def update(
    conn: Connection, thread_id: str, body: ThreadUpdate, metadata: Mapping[str, Any], now: int, access: Access
) -> Row[Any]:
    """Change a thread's title and merge `metadata` into its own; the row after it as `find` gives it. Raises ThreadNotFound,
    UnprocessableInput."""
    try:
        queries.change(conn, thread_id, metadata, now, access, remove_nulls=True, **body.columns)
    except errors.NotFound:
        raise ThreadNotFound from None
    return find(conn, thread_id, access)


def attention_count(conn: Connection, agent_id: str | None, principal: Principal, access: Access) -> int:
    """How many of the caller's threads somebody should look at (MDA 9.4)."""
    statement = select(func.count()).where(
        _t.workspace == principal.workspace, _t.owner_id == principal.user_id, ATTENTION
    )
    if agent_id is not None:
        statement = statement.where(_t.agent_id == agent_id)
    found: int = conn.execute(access.limit(statement, _t.metadata)).scalar_one()
    return found


def _first(conn: Connection, statement: Any, thread_id: str, access: Access) -> Row[Any]:
    row: Row[Any] | None = conn.execute(access.limit(statement, _t.metadata), {"thread_id": thread_id}).first()
    if row is None:
        raise ThreadNotFound
    return row
