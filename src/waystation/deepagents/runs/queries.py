"""SQL of agents' runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from waystation.auth.access import Access
from waystation.deepagents.errors import AgentGone, WrongAgent
from waystation.deepagents.runs.pin import Pin
from waystation.deepagents.threads.queries import find
from waystation.storage import checkpoints
from waystation.storage.tables import deep_agents, runs

__all__ = ["pin_of_state", "require_thread_of"]

_KWARGS = select(runs.c.kwargs).where(runs.c.run_id == bindparam("run_id"))
_AGENT = select(deep_agents.c.agent_id).where(deep_agents.c.agent_id == bindparam("agent_id"))


def require_thread_of(conn: Connection, thread_id: str, agent_id: str, access: Access) -> None:
    """Raise unless the thread is one of the agent, which there still is: ThreadNotFound, WrongAgent, AgentGone."""
    if find(conn, thread_id, access).agent_id != agent_id:
        raise WrongAgent
    if conn.execute(_AGENT, {"agent_id": agent_id}).first() is None:
        raise AgentGone


def pin_of_state(conn: Connection, thread_id: str) -> Pin | None:
    """The pin of the run that has left a thread in its present state; None if no run of an agent has, or it was deleted."""
    run_id = checkpoints.newest_run_id(conn, thread_id)
    kwargs: dict[str, Any] | None = conn.execute(_KWARGS, {"run_id": run_id}).scalar()
    return None if kwargs is None else Pin.of(kwargs["config"]["configurable"])
