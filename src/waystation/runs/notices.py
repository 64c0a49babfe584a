"""What a run's webhook is told: written in the transaction in which the run ends (spec 11)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from waystation.encoding import encode
from waystation.errors import SealBroken
from waystation.runs import queries
from waystation.runs.wire import run_to_wire
from waystation.storage.sealing import CONTEXT_KEY, under
from waystation.timestamps import iso
from waystation.webhooks import put

__all__ = ["leave_notice"]


def leave_notice(
    conn: Connection, run_id: str, status: str, now: int, *, values: Any = None, error: dict[str, str] | None = None
) -> None:
    """If the run has a webhook, have it told that the run is over. Before the run's row changes or goes.

    `status` is the final one, ``rollback`` included. Without `values` the thread's stand for them, which are those of its last
    checkpoint; a throw-away thread has none, nor is anything left of a run that is rolled back."""
    run = queries.run_and_values(conn, run_id)
    url = None if run is None else run.kwargs.get("webhook")
    if run is None or not url:
        return
    if status == "rollback" or run.kwargs.get("temporary"):
        values = None
    elif values is None:
        values = run.thread_values
    payload = {
        **run_to_wire({**run._asdict(), "status": status, "updated_at": now}),
        "run_started_at": None if run.started_at is None else iso(run.started_at),
        "run_ended_at": iso(now),
        "values": values,
    }
    if error is not None and status in ("error", "timeout"):
        payload["error"] = error
    with under(run.kwargs.get(CONTEXT_KEY)):
        put(conn, thread_id=run.thread_id, run_id=run_id, url=url, body=_body(payload), now=now)


def _body(payload: dict[str, Any]) -> bytes:
    """The payload as JSON. What cannot be decrypted any more is left out: that the run is over has to be told all the same."""
    try:
        return encode(payload)
    except SealBroken:
        return encode({name: value for name, value in payload.items() if _is_readable(value)})


def _is_readable(value: Any) -> bool:
    try:
        encode(value)
    except SealBroken:
        return False
    return True
