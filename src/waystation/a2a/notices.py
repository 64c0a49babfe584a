"""Push notifications: the task in A2A's form, put into the outbox of webhooks in the transaction in which a run of it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection

from waystation.a2a import queries
from waystation.a2a.queries import Push
from waystation.a2a.states import state_of
from waystation.a2a.wire import Task, View, task_to_wire
from waystation.encoding import encode, to_plain
from waystation.errors import SealBroken
from waystation.threads.interrupts import open_interrupts
from waystation.webhooks import put

__all__ = ["leave_pushes"]

log = structlog.get_logger("waystation.a2a")

TOKEN_HEADER = "X-A2A-Notification-Token"


def leave_pushes(
    conn: Connection,
    run_id: str,
    status: str,
    now: int,
    *,
    values: Any,
    error: Mapping[str, Any] | None,
    asked: Mapping[str, Any] | None,
) -> None:
    """Have everybody notified who has asked for it that the task of this run has ended, or waits for an answer. The arguments are
    those of `waystation.runs.notices.leave_notice`."""
    row = queries.of_run(conn, run_id)
    if row is None:
        return
    try:
        pushes: list[Push] = list(row.pushes)
        if not pushes:
            return
        task = Task(
            row.task_id,
            row.thread_id,
            state_of(status, awaits=asked is not None),
            now,
            row.message_id,
            to_plain(values),
            open_interrupts(asked),
            error,
        )
        for push in pushes:
            _put(conn, task, run_id, push, now)
    except SealBroken as broken:  # the run has to end all the same
        log.error("nobody can be notified of a task", task_id=row.task_id, error=broken.message)


def _put(conn: Connection, task: Task, run_id: str, push: Push, now: int) -> None:
    wire = task_to_wire(task, View(push["generation"]))
    body = wire if push["generation"] == "legacy" else {"task": wire}
    headers = {}
    if push["token"]:
        headers[TOKEN_HEADER] = push["token"]
    if push["credentials"]:
        headers["Authorization"] = f"{push['scheme'] or 'Bearer'} {push['credentials']}"
    put(
        conn,
        thread_id=task.context_id,
        run_id=run_id,
        url=push["url"],
        body=encode(body),
        now=now,
        headers=encode(headers),
    )
