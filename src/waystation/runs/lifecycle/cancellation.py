"""Cancelling and deleting runs."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Row

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import NotFound
from waystation.runs import queries
from waystation.runs.lifecycle.records import NOTHING
from waystation.runs.notices import leave_notice
from waystation.storage import checkpoints
from waystation.streams import last_words

__all__ = ["CANCELLED", "cancel", "delete", "stop"]

CANCELLED = "cancelled by the user"


def stop(conn: Connection, run_id: str, action: str, reason: str, now: int) -> bool:
    """Cancel a run that is not settled and whose thread is locked. True when a worker holds it and has to stop and settle it first."""
    # Whether one does is asked for here: it may have handed the run back since that was looked up. Then the run waits in the queue,
    # where nobody takes it from a locked thread.
    if queries.stop_held(conn, run_id, action, reason, now):
        return True
    leave_notice(conn, run_id, "rollback" if action == "rollback" else "interrupted", now)
    if action == "rollback":
        queries.delete_run(conn, run_id)
    else:
        queries.set_run(conn, run_id, status="interrupted", stop_action=action, updated_at=now, settled_at=now)
    return False


def cancel(
    conn: Connection, access: Access, thread_id: str | None, run_id: str, action: str, now: int
) -> tuple[str, bool]:
    """Cancel a run. Returns its thread and whether a worker holds it and has to stop first.

    Raises NotFound for a run that is unknown, finished, or being cancelled already."""
    run = _locked_run(conn, access, thread_id, run_id)
    if run.status not in ("pending", "running"):
        raise NotFound(f"Run {run_id} is not in flight: its status is {run.status}.")
    held = stop(conn, run_id, action, CANCELLED, now)
    if not held:
        if run.kwargs.get("temporary"):
            if run.listener is not None:
                last_words.leave(conn, run_id, "interrupted", NOTHING, now)
            queries.delete_thread(conn, run.thread_id, keep_events=run.listener is not None)
        else:
            _refresh_thread(conn, run.thread_id, now)
    return run.thread_id, held


def _locked_run(conn: Connection, access: Access, thread_id: str | None, run_id: str) -> Row[*tuple[Any, ...]]:
    """A run whose thread is locked: nobody claims or settles it, but a worker may hand it back. Raises NotFound."""
    run = queries.find_run(conn, thread_id, run_id, access)
    if run is not None and conn.dialect.name != "sqlite":
        queries.lock_thread(conn, run.thread_id)
        run = queries.find_run(conn, thread_id, run_id, access)
    if run is None:
        raise NotFound(f"Run {run_id} not found.")
    return run


def delete(
    conn: Connection, access: Access, thread_id: str, run_id: str, now: int
) -> Literal["held", "queued", "settled"]:
    """Delete a run with its checkpoints. Returns what it was; one that a worker holds vanishes once that has stopped.

    Raises NotFound."""
    run = _locked_run(conn, access, thread_id, run_id)
    if run.settled_at is None and stop(conn, run_id, "rollback", CANCELLED, now):
        return "held"
    checkpoints.delete_for_runs(conn, thread_id, [run_id])
    queries.delete_run(conn, run_id)
    _refresh_thread(conn, thread_id, now)
    return "queued" if run.settled_at is None else "settled"


def _refresh_thread(conn: Connection, thread_id: str, now: int) -> None:
    """Derive the thread's status anew after an unsettled run went away without having run."""
    thread = queries.find_thread(conn, thread_id, EVERYTHING)
    if thread is None:
        return
    status = "busy" if queries.active_runs(conn, thread_id) else thread.rest_status
    if status != thread.status:
        queries.set_thread(conn, thread_id, status=status, updated_at=now)
