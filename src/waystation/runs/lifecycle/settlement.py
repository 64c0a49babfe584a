"""Settling a run: its final state, and what follows for its thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row

from waystation.auth.access import EVERYTHING
from waystation.runs import queries
from waystation.runs.lifecycle.cancellation import CANCELLED
from waystation.runs.lifecycle.holding import ask_lease
from waystation.runs.lifecycle.records import Claimed, Outcome, Settled
from waystation.runs.notices import has_followers, leave_notice
from waystation.storage import checkpoints
from waystation.streams import last_words

__all__ = ["settling"]


def settling(
    conn: Connection, run: Claimed, outcome: Outcome, now: int, *, result: bytes | None = None
) -> Callable[[], Settled]:
    """Ask what has to be known to settle a run. What this returns does it, in the same transaction: it commits the run's final
    state together with what follows for its thread, or raises LeaseLost; then nothing is changed.

    `result` is what waiting clients get (JSON), given for a temporary run that is followed from another process: there it has
    to be found when the run is gone."""
    queries.lock_thread(conn, run.thread_id)
    temporary = bool(run.kwargs.get("temporary"))
    lease = ask_lease(conn, run, and_others=not temporary)
    return lambda: _settle(conn, run, outcome, now, lease(), result, temporary=temporary)


def _settle(
    conn: Connection,
    run: Claimed,
    outcome: Outcome,
    now: int,
    row: Row[*tuple[Any, ...]],
    result: bytes | None,
    *,
    temporary: bool,
) -> Settled:
    status = _final_status(row, outcome)
    if has_followers(run.kwargs):
        asked = (outcome.interrupts or {}) if outcome.pending else None
        leave_notice(conn, run.run_id, status, now, values=outcome.values, error=outcome.error, asked=asked)
    if temporary:
        if result is not None:
            last_words.leave(conn, run.run_id, status, result, now)
        none_stored = not run.kwargs.get("resumable")
        queries.delete_thread(conn, run.thread_id, keep_events=none_stored or result is not None)
        return Settled(status, more=False)
    more = bool(row.others)
    if row.stop_action == "rollback":
        checkpoints.delete_for_runs(conn, run.thread_id, [run.run_id])
        queries.delete_run(conn, run.run_id)
        _settle_thread(
            conn, run.thread_id, now, more, error=_stopped("UserRollback", row.stop_reason), rest_status=None
        )
        return Settled("rollback", more)
    queries.set_run(
        conn, run.run_id, status=status, worker_id=None, lease_expires_at=None, updated_at=now, settled_at=now
    )
    error = _stopped("UserInterrupt", row.stop_reason) if row.stop_action else outcome.error
    if outcome.kind in ("error", "timeout") and not row.stop_action:
        rest_status = "error"
    else:
        rest_status = "interrupted" if outcome.pending else "idle"
    changes: dict[str, Any] = {"state_updated_at": now}
    if outcome.values is not None:
        changes["values"] = outcome.values
    if outcome.interrupts is not None:
        changes["interrupts"] = outcome.interrupts
    _settle_thread(conn, run.thread_id, now, more, error=error, rest_status=rest_status, **changes)
    return Settled(status, more)


def _final_status(row: Row[*tuple[Any, ...]], outcome: Outcome) -> str:
    if row.stop_action is not None:
        return "rollback" if row.stop_action == "rollback" else "interrupted"
    return "interrupted" if outcome.kind == "stopped" else outcome.kind


def _stopped(name: str, reason: str | None) -> dict[str, str]:
    return {"error": name, "message": reason or CANCELLED}


def _settle_thread(
    conn: Connection, thread_id: str, now: int, more: bool, *, error: Any, rest_status: str | None, **changes: Any
) -> None:
    """Write the thread's status after one of its runs was settled. `more` says whether others are waiting; no `rest_status` that
    the run has left nothing behind."""
    undone = rest_status is None
    if rest_status is None:
        thread = queries.find_thread(conn, thread_id, EVERYTHING)
        rest_status = thread.rest_status if thread is not None else "idle"
    queries.set_thread(
        conn,
        thread_id,
        status="busy" if more else rest_status,
        rest_status=rest_status,
        error=error,
        updated_at=now,
        renew_ttl=True,
        mark_unread=not undone,
        **changes,
    )
