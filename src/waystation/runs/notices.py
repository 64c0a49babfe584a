"""What others are told of a run's end, its webhook and the clients of its A2A task: written in the transaction in which it ends
(spec 11, 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from waystation.a2a.notices import leave_pushes
from waystation.encoding import encode
from waystation.errors import SealBroken
from waystation.runs import queries
from waystation.runs.wire import OF_TASK, run_to_wire
from waystation.storage.sealing import CONTEXT_KEY, under
from waystation.timestamps import iso
from waystation.webhooks import put

__all__ = ["has_followers", "leave_notice"]


def has_followers(kwargs: Mapping[str, Any]) -> bool:
    """Whether anybody may have to be told of the end of a run with these kwargs."""
    return bool(kwargs.get("webhook") or kwargs.get(OF_TASK))


def leave_notice(
    conn: Connection,
    run_id: str,
    status: str,
    now: int,
    *,
    values: Any = None,
    error: dict[str, str] | None = None,
    asked: Mapping[str, Any] | None = None,
) -> None:
    """If the run has a webhook or belongs to a task of A2A, have it told that the run is over. Before the run's row changes or goes.

    `status` is the final one, ``rollback`` included; `asked` is what the graph waits for an answer to, None unless it does. Without `values` the thread's stand for them, which are those of its last
    checkpoint; a throw-away thread has none, nor is anything left of a run that is rolled back."""
    run = queries.run_and_values(conn, run_id)
    if run is None or not has_followers(run.kwargs):
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
        if url := run.kwargs.get("webhook"):
            put(conn, thread_id=run.thread_id, run_id=run_id, url=url, body=_body(payload), now=now)
        if run.kwargs.get(OF_TASK):
            leave_pushes(conn, run_id, status, now, values=values, error=error, asked=asked)


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
