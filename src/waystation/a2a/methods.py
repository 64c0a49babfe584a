"""The methods of A2A (spec 14). Each runs through the same functions as the routes of runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from waystation.a2a import pushes, queries
from waystation.a2a.cards import card_of
from waystation.a2a.errors import invalid, not_cancelable, unsupported
from waystation.a2a.models import ListParams, PushParams, PushQuery, SendParams, TaskParams
from waystation.a2a.sending import Sending, prepared
from waystation.a2a.states import IN_FLIGHT, TERMINAL, Generation, Scope, parse_state, state_of
from waystation.a2a.streaming import task_frames
from waystation.a2a.tasks import found, load, readable, thread_of
from waystation.a2a.wire import HISTORY, View, task_to_wire
from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import NotFound
from waystation.http.authorization import allowed
from waystation.http.bodies import Body, require_uuid
from waystation.http.jsonrpc import CallId, success
from waystation.http.responses import json_response
from waystation.runs.starting import OWN, cancel_allowed, start, start_awaited, start_followed
from waystation.runs.waiting import KEEP_ALIVE, ResultWaiter
from waystation.streams.response import StreamResponse
from waystation.streams.sse import HEADERS as SSE_HEADERS
from waystation.timestamps import MICROSECONDS

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["METHODS", "Asked", "Method"]

SCOPE_HEADER = "langgraph-a2a-history-scope"


class Asked(Struct, frozen=True):
    """A call of a method."""

    request: Request
    call_id: CallId
    generation: Generation
    assistant: Mapping[str, Any]
    """The row of the assistant that is meant."""

    @property
    def server(self) -> Server:
        server: Server = self.request.app.state.server
        return server

    @property
    def assistant_id(self) -> str:
        return str(self.assistant["assistant_id"])

    def answer(self, result: Any) -> dict[str, Any]:
        return success(self.call_id, result)

    def view(self, length: int | None, scope: Scope | None) -> View:
        """How the client wants to see tasks. The scope may also come as a header."""
        named = scope or self.request.headers.get(SCOPE_HEADER, "context")
        if named not in ("context", "task"):
            raise invalid(f"{SCOPE_HEADER}: must be context or task.")
        return View(self.generation, HISTORY if length is None else length, "task" if named == "task" else "context")


Handler = Callable[[Asked, Any], Awaitable[Response]]


class Method(Struct, frozen=True):
    """One method under one of its names."""

    handler: Handler
    params: type[Body]
    generation: Generation
    streams: bool = False


# --- sending


async def send(asked: Asked, params: SendParams) -> Response:
    """Run the agent, and answer when it has finished or waits for something; or at once, if the client prefers that."""
    view = asked.view(params.configuration.historyLength, params.configuration.historyScope)
    sending = await prepared(asked.request, asked.assistant, params, asked.generation, streams=False)
    if params.configuration.returnImmediately or params.configuration.blocking is False:
        await start(asked.request, sending.order, sending.within)
        return json_response(await _sent(asked, sending, view))
    with ExitStack() as resources:
        waiting, _ = await start_awaited(asked.request, sending.order, resources, sending.within)
        if await waiting.within(asked.server.config.heartbeat_s) is not None:
            return json_response(await _sent(asked, sending, view))
        pieces = _late(asked, sending, view, waiting)
        return StreamResponse(pieces, {"content-type": "application/json"}, None, resources.pop_all())


async def _late(asked: Asked, sending: Sending, view: View, waiting: ResultWaiter) -> AsyncGenerator[bytes, None]:
    """Signs of life, then the answer."""
    async for piece in waiting.or_keep_alive():
        yield KEEP_ALIVE if piece == KEEP_ALIVE else encode(await _sent(asked, sending, view))


async def _sent(asked: Asked, sending: Sending, view: View) -> dict[str, Any]:
    """The answer to a message that has been sent: the task."""
    row = await found(asked.server, OWN, asked.assistant_id, sending.task_id)
    wire = task_to_wire(await load(asked.server, OWN, row), view)
    return asked.answer(wire if asked.generation == "legacy" else {"task": wire})


async def stream(asked: Asked, params: SendParams) -> Response:
    """Run the agent and tell of what it does. It goes on when the client goes away."""
    view = asked.view(params.configuration.historyLength, params.configuration.historyScope)
    sending = await prepared(asked.request, asked.assistant, params, asked.generation, streams=True)
    with ExitStack() as resources:
        subscription = await start_followed(asked.request, sending.order, resources, sending.within)
        task = await load(asked.server, OWN, await found(asked.server, OWN, asked.assistant_id, sending.task_id))
        frames = task_frames(
            asked.server,
            OWN,
            asked.assistant_id,
            replace(task, state="submitted", values=None),
            view,
            asked.answer,
            subscription,
        )
        return StreamResponse(frames, SSE_HEADERS, None, resources.pop_all())


async def subscribe(asked: Asked, params: TaskParams) -> Response:
    """Tell of what becomes of a task that is under way."""
    view = asked.view(params.historyLength, params.historyScope)
    access, row = await readable(asked.request, asked.assistant_id, params.id)
    with ExitStack() as resources:
        subscription = resources.enter_context(asked.server.bus.subscribe(row.thread_id, row.run_id))
        await subscription.announce()
        row = await found(asked.server, access, asked.assistant_id, params.id)
        state = state_of(row.status, awaits=row.awaits)
        if state in TERMINAL:
            raise unsupported(f"The task {params.id} is over ({state}); there is nothing more to hear of it.")
        task = await load(asked.server, access, row)
        more = subscription if state in IN_FLIGHT else None
        frames = task_frames(asked.server, access, asked.assistant_id, task, view, asked.answer, more)
        return StreamResponse(frames, SSE_HEADERS, None, resources.pop_all())


# --- tasks


async def get(asked: Asked, params: TaskParams) -> Response:
    """A task as it is now."""
    view = asked.view(params.historyLength, params.historyScope)
    access, row = await readable(asked.request, asked.assistant_id, params.id)
    if params.contextId not in (None, row.thread_id):
        raise invalid(f"contextId: the task {params.id} belongs to another context.")
    return json_response(asked.answer(task_to_wire(await load(asked.server, access, row), view)))


async def cancel(asked: Asked, params: TaskParams) -> Response:
    """Stop a task that is under way."""
    view = asked.view(params.historyLength, params.historyScope)
    thread_id = thread_of(params.id)
    run_id = params.id.rpartition(":")[2]
    access = await cancel_allowed(asked.request, "interrupt", {"thread_id": thread_id, "run_id": run_id})
    row = await found(asked.server, access, asked.assistant_id, params.id)
    try:
        await asked.server.engine.cancel(access, row.thread_id, row.run_id, "interrupt")
    except NotFound:
        raise not_cancelable(params.id, state_of(row.status, awaits=row.awaits)) from None
    row = await found(asked.server, access, asked.assistant_id, params.id)
    return json_response(asked.answer(task_to_wire(await load(asked.server, access, row), view)))


async def list_tasks(asked: Asked, params: ListParams) -> Response:
    """The agent's tasks that the caller may see, those that have changed last first."""
    view = replace(asked.view(params.historyLength, params.historyScope), artifacts=params.includeArtifacts)
    offset = int(params.pageToken or 0)
    access = await _listing_allowed(asked.request, params, offset)
    after = params.statusTimestampAfter
    if after is not None:
        after = after if after.tzinfo is not None else after.replace(tzinfo=UTC)
    chosen: dict[str, Any] = {
        "thread_id": None if params.contextId is None else require_uuid(params.contextId, "contextId"),
        "state": None if params.status is None else parse_state(params.status),
        "after": None if after is None else int(after.timestamp() * MICROSECONDS),
    }
    db = asked.server.db
    rows = await db.read(queries.page, asked.assistant_id, access, **chosen, limit=params.pageSize, offset=offset)
    total = await db.read(queries.count, asked.assistant_id, access, **chosen)
    tasks = []
    for row in rows:
        whole = await db.read(queries.find, row.task_id, asked.assistant_id, access)
        if whole is not None:  # deleted meanwhile
            shown = bool(view.artifacts or view.history_length)
            tasks.append(task_to_wire(await load(asked.server, access, whole, values_too=shown), view))
    following = offset + params.pageSize
    result = {
        "tasks": tasks,
        "totalSize": total,
        "pageSize": params.pageSize,
        "nextPageToken": str(following) if following < total else "",
    }
    return json_response(asked.answer(result))


async def _listing_allowed(request: Request, params: ListParams, offset: int) -> Access:
    if params.contextId is not None:
        return await allowed(request, "threads", "read", {"thread_id": params.contextId})
    page = {"limit": params.pageSize, "offset": offset}
    return await allowed(request, "threads", "search", {"metadata": {}, "values": {}, "status": None, **page})


async def extended_card(asked: Asked, params: Body) -> Response:
    """The agent card. There is nothing that it tells only some callers."""
    return json_response(asked.answer(card_of(asked.request, asked.assistant)))


# --- push notifications


def _about_pushes(handle: Callable[[Request, str, Any, Generation], Awaitable[Any]]) -> Handler:
    async def handler(asked: Asked, params: Any) -> Response:
        result = await handle(asked.request, asked.assistant_id, params, asked.generation)
        return json_response(asked.answer(result))

    return handler


_KINDS: list[tuple[Handler, type[Body], str, str, bool]] = [
    (send, SendParams, "SendMessage", "message/send", False),
    (stream, SendParams, "SendStreamingMessage", "message/stream", True),
    (get, TaskParams, "GetTask", "tasks/get", False),
    (cancel, TaskParams, "CancelTask", "tasks/cancel", False),
    (list_tasks, ListParams, "ListTasks", "tasks/list", False),
    (subscribe, TaskParams, "SubscribeToTask", "tasks/resubscribe", True),
    (extended_card, Body, "GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard", False),
    *(
        (
            _about_pushes(handle),
            model,
            f"{verb}TaskPushNotificationConfig{plural}",
            f"tasks/pushNotificationConfig/{alias}",
            False,
        )
        for handle, model, verb, plural, alias in (
            (pushes.set_push, PushParams, "Create", "", "set"),
            (pushes.get_push, PushQuery, "Get", "", "get"),
            (pushes.list_pushes, PushQuery, "List", "s", "list"),
            (pushes.delete_push, PushQuery, "Delete", "", "delete"),
        )
    ),
]

METHODS: Mapping[str, Method] = {
    **{new: Method(handler, model, "new", streams) for handler, model, new, _, streams in _KINDS},
    **{legacy: Method(handler, model, "legacy", streams) for handler, model, _, legacy, streams in _KINDS},
}
"""Every method under both of its names."""
