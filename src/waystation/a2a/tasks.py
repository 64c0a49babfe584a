"""Reading tasks: what the database and the thread's checkpoints say (spec 14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row
from starlette.requests import Request

from waystation.a2a import queries
from waystation.a2a.errors import task_not_found
from waystation.a2a.states import state_of
from waystation.a2a.wire import Task
from waystation.auth.access import Access
from waystation.encoding import to_plain
from waystation.http.authorization import allowed
from waystation.threads.history import history
from waystation.threads.interrupts import open_interrupts

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["TaskRow", "found", "load", "readable", "thread_of"]

TaskRow = Row[*tuple[Any, ...]]
"""A row of `waystation.a2a.queries.find`."""

_TASK_ID = re.compile(r"([0-9a-fA-F-]{36}):[0-9a-fA-F-]{36}")


def thread_of(task_id: str) -> str:
    """The thread of the task with this id, ``<thread_id>:<run_id>``. Raises RpcError for another text."""
    match = _TASK_ID.fullmatch(task_id)
    try:
        return str(UUID(match[1] if match else ""))
    except ValueError:
        raise task_not_found(task_id) from None


async def readable(request: Request, assistant_id: str, task_id: str) -> tuple[Access, TaskRow]:
    """A task of the assistant that the caller may read, and the access to it. Raises RpcError for one that there is not."""
    access = await allowed(request, "threads", "read", {"thread_id": thread_of(task_id)})
    return access, await found(request.app.state.server, access, assistant_id, task_id)


async def found(server: Server, access: Access, assistant_id: str, task_id: str) -> TaskRow:
    """The row of a task. Raises RpcError for one that there is not."""
    row = await server.db.read(queries.find, task_id, assistant_id, access)
    if row is None:
        raise task_not_found(task_id)
    return row


async def load(server: Server, access: Access, row: TaskRow, *, values_too: bool = True) -> Task:
    """The task with what it has left behind: of the thread's latest run that is in the thread's row, of another in its last
    checkpoint, which is read if `values_too`."""
    state = state_of(row.status, awaits=row.awaits)
    if row.newest or row.status is None:
        values, interrupts, error = row.values, open_interrupts(row.interrupts), row.error
    else:
        last = {"run_id": row.run_id}
        states = await history(server, access, row.thread_id, 1, metadata=last) if values_too else []
        values, interrupts, error = (states[0]["values"] if states else None), [], None
    return Task(
        row.task_id,
        row.thread_id,
        state,
        row.updated_at,
        row.message_id,
        to_plain(values),
        interrupts,
        error,
    )
