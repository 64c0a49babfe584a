"""Sending a message: a run that begins a task, or goes on with one that waits for an answer (spec 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request
from uuid_utils import uuid7

from waystation.a2a import queries
from waystation.a2a.cards import output_modes
from waystation.a2a.content import answer_of, input_of
from waystation.a2a.errors import content_type_not_supported, invalid, unsupported
from waystation.a2a.models import Message, SendParams
from waystation.a2a.pushes import push_of
from waystation.a2a.queries import Push
from waystation.a2a.states import TERMINAL, Generation, state_of
from waystation.a2a.tasks import TaskRow, readable
from waystation.assistants import visible
from waystation.auth.access import Access
from waystation.runs.models import RunCreateStateful
from waystation.runs.order import Order
from waystation.runs.starting import Alongside, order_of
from waystation.runs.wire import OF_TASK
from waystation.timestamps import now_us

__all__ = ["Sending", "prepared"]


class Sending(Struct, frozen=True):
    """A message that is about to become a run."""

    order: Order
    task_id: str
    within: Alongside


async def prepared(
    request: Request, assistant: Mapping[str, Any], params: SendParams, generation: Generation, *, streams: bool
) -> Sending:
    """What the message means. Raises RpcError for one that cannot be sent, and what `order_of` raises."""
    _require_modes(assistant, params)
    message = params.message
    wanted = params.configuration.pushNotificationConfig or params.configuration.taskPushNotificationConfig
    pushes = [] if wanted is None else [push_of(request, wanted, generation)]
    former = None
    if message.taskId is None:
        thread_id = _context(message)
    else:
        access, row = await readable(request, assistant["assistant_id"], message.taskId)
        _require_answerable(row)
        thread_id, former = row.thread_id, (access, row)
        if message.contextId is not None and _context(message) != thread_id:
            raise invalid(f"message.contextId: the task {message.taskId} belongs to another context.")
    body = RunCreateStateful.model_validate(
        {
            "assistant_id": assistant["assistant_id"],
            **await _given(request, assistant, message, answers=former is not None),
            "metadata": {**(message.metadata or {}), **(params.metadata or {})},
            "if_not_exists": "create",
            "stream_mode": ["messages"] if streams else ["values"],
        }
    )
    order = order_of(request, body, thread_id)
    order = replace(order, kwargs={**order.kwargs, OF_TASK: True})
    if former is None:
        task_id = f"{thread_id}:{order.run_id}"
        return Sending(order, task_id, _Begin(order, assistant["assistant_id"], task_id, message.messageId, pushes))
    return Sending(order, former[1].task_id, _GoOn(order, *former, pushes))


async def _given(request: Request, assistant: Mapping[str, Any], message: Message, *, answers: bool) -> dict[str, Any]:
    """What the run is given: a command, if the client has one or `answers` a question, or else an input."""
    command = message.command.model_dump(exclude_unset=True) if message.command is not None else {}
    if answers:
        return {"command": {"resume": answer_of(message), **command}}
    if command:
        return {"command": command}
    return {"input": input_of(message, (await visible.schemas(request, assistant)).get("input_schema"))}


class _Begin(Alongside):
    """A message that begins a task."""

    def __init__(self, order: Order, assistant_id: str, task_id: str, message_id: str, pushes: Sequence[Push]) -> None:
        self._order = order
        self._assistant_id = assistant_id
        self._task_id = task_id
        self._message_id = message_id or None
        self._pushes = pushes

    def after(self, conn: Connection) -> None:
        queries.put(
            conn,
            task_id=self._task_id,
            thread_id=self._order.thread_id,
            assistant_id=self._assistant_id,
            run_id=self._order.run_id,
            message_id=self._message_id,
            pushes=self._pushes,
            now=now_us(),
        )


class _GoOn(Alongside):
    """A message that answers. Of two that come at once, one does."""

    def __init__(self, order: Order, access: Access, row: TaskRow, pushes: Sequence[Push]) -> None:
        self._order = order
        self._access = access
        self._row = row
        self._pushes = pushes

    def before(self, conn: Connection) -> None:
        row = self._row
        now = queries.find_locked(conn, row.task_id, row.assistant_id, row.thread_id, self._access)
        if now is None or now.run_id != row.run_id:
            raise unsupported(f"The task {row.task_id} has been answered already.")
        _require_answerable(now)
        kept = {push["id"]: push for push in now.pushes}
        self._pushes = [*{**kept, **{push["id"]: push for push in self._pushes}}.values()]

    def after(self, conn: Connection) -> None:
        queries.move(conn, self._row.task_id, self._order.run_id, self._pushes)


def _require_answerable(row: TaskRow) -> None:
    state = state_of(row.status, awaits=row.awaits)
    if state in TERMINAL:
        raise unsupported(f"The task {row.task_id} is over ({state}); send without taskId to begin another.")
    if state != "input-required":
        raise unsupported(f"The task {row.task_id} is {state}; it takes messages when it has asked for one.")


def _context(message: Message) -> str:
    if message.contextId is None:
        return str(uuid7())
    try:
        return str(UUID(message.contextId))
    except ValueError:
        raise invalid(f"message.contextId: {message.contextId[:100]!r} is no UUID.") from None


def _require_modes(assistant: Mapping[str, Any], params: SendParams) -> None:
    accepted, offered = params.configuration.acceptedOutputModes, output_modes(assistant)
    if accepted and not set(accepted) & set(offered) and "*/*" not in accepted:
        raise content_type_not_supported(
            f"The agent answers with {', '.join(offered)}, which the client does not accept."
        )
