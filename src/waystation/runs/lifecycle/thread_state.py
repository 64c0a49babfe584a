"""A thread beside its runs: whether it has any in flight, and what an edit of its state leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from waystation.auth.access import EVERYTHING
from waystation.errors import Conflict
from waystation.runs import queries

__all__ = ["in_flight_runs", "record_state", "require_no_run_in_flight", "require_paused"]


def in_flight_runs(conn: Connection, thread_ids: Sequence[str]) -> list[str]:
    """Ids of the unsettled runs of these threads."""
    return [run.run_id for thread_id in thread_ids for run in queries.active_runs(conn, thread_id)]


def require_no_run_in_flight(conn: Connection, thread_id: str) -> None:
    """Raise Conflict when the thread has an unsettled run (spec 4.3)."""
    if active := queries.active_runs(conn, thread_id):
        raise Conflict(f"Thread {thread_id} is busy with run {active[0].run_id}; its state cannot be edited now.")


def require_paused(conn: Connection, thread_id: str) -> None:
    """Raise Conflict unless the thread waits for something, and see to it that it does until the end of the transaction."""
    queries.lock_thread(conn, thread_id)
    require_no_run_in_flight(conn, thread_id)
    thread = queries.find_thread(conn, thread_id, EVERYTHING)
    if thread is None or thread.status != "interrupted":
        raise Conflict(f"Thread {thread_id} has not paused; there is nothing to resolve.")


def record_state(
    conn: Connection,
    thread_id: str,
    *,
    values: Any,
    interrupts: dict[str, Any],
    pending: bool,
    now: int,
    if_in_flight: Literal["refuse", "keep"] = "refuse",
    failed: bool | None = None,
) -> None:
    """Store the state that an edit left behind, or the deletion of a run: then `failed` says whether the run that is now the
    last one did, and the error of the deleted one is forgotten.

    Raises Conflict when a run is in flight, unless told to keep the status."""
    queries.lock_thread(conn, thread_id)
    if if_in_flight == "refuse":
        require_no_run_in_flight(conn, thread_id)
    rest_status = "error" if failed else "interrupted" if pending else "idle"
    status = "busy" if queries.active_runs(conn, thread_id) else rest_status
    changes: dict[str, Any] = {} if failed is None else {"error": None}
    queries.set_thread(
        conn,
        thread_id,
        status=status,
        rest_status=rest_status,
        values=values,
        interrupts=interrupts,
        updated_at=now,
        state_updated_at=now,
        **changes,
    )
