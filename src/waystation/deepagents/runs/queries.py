"""SQL of agents' runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from waystation.deepagents.runs.pin import Pin
from waystation.storage import checkpoints
from waystation.storage.tables import runs

__all__ = ["pin_of_state"]

_KWARGS = select(runs.c.kwargs).where(runs.c.run_id == bindparam("run_id"))


def pin_of_state(conn: Connection, thread_id: str) -> Pin | None:
    """The pin of the run that has left a thread in its present state; None if no run of an agent has, or it was deleted."""
    run_id = checkpoints.newest_run_id(conn, thread_id)
    kwargs: dict[str, Any] | None = conn.execute(_KWARGS, {"run_id": run_id}).scalar()
    return None if kwargs is None else Pin.of(kwargs["config"]["configurable"])
