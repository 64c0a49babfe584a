"""From a request for a response to the run that is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import Struct, field
from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import Conflict, NotFound
from waystation.http.authorization import allowed
from waystation.messages.answers import parsed
from waystation.messages.content import Message
from waystation.responses.catalogue import model_of, takes_messages
from waystation.responses.errors import Refused, unsupported
from waystation.responses.ids import BREAKPOINT, conversation_id, thread_id_of
from waystation.responses.incoming import messages_of, output_of
from waystation.responses.models import ResponseCreate
from waystation.responses.response import ASKED, Subject
from waystation.responses.stored import State, find, state_of
from waystation.runs import queries
from waystation.runs.lifecycle import Created
from waystation.runs.models import RunCreate, RunCreateStateful, RunCreateStateless
from waystation.runs.order import Order
from waystation.runs.permission import creation_allowed
from waystation.runs.starting import Store, order_of
from waystation.threads.current import current
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Start"]

INSTRUCTIONS = "openai-instructions"
"""The id of the system message that holds a request's instructions: those of the next request take its place."""

MODES = ["values", "updates", "messages-tuple"]
"""What a run has to stream in order to be told of."""


class _GoneOn(Conflict):
    """The thread has gone on since."""


class _Place(Struct, frozen=True):
    """Where the run is to happen."""

    thread_id: str | None = None
    """None: on a thread of its own."""
    state: State = field(default_factory=State)
    after_run: str | None = None
    """The run that it continues, which may not be the thread's last one."""


class Start(Struct, frozen=True):
    """A run that the caller may start."""

    order: Order
    store: Store
    subject: Subject

    @classmethod
    async def of(cls, request: Request, given: ResponseCreate) -> Start:
        """Raises Refused, ModelNotFound, ResponseNotFound, and what `creation_allowed` raises. Storing it raises what
        `Engine.create` raises."""
        given.check()
        assistant = await model_of(request, given.model)
        keys = await takes_messages(request, assistant)
        place = await _place(request, given)
        answers, items = _answers(given, place.state)
        messages = messages_of(items)
        anchor = next((message["id"] for message in reversed(messages or place.state.messages)), None)
        messages = [*_instructions(given, place.state), *messages]
        body = _body(assistant.assistant_id, given, keys, messages, answers, place)
        order = order_of(
            request, body, None if isinstance(body, RunCreateStateless) else place.thread_id or str(uuid4())
        )
        order.kwargs[ASKED] = asked = {
            **given.model_dump(include={"model", "instructions", "previous_response_id", "metadata", "input", "tools"}),
            "conversation": None if given.conversation is None else conversation_id(order.thread_id),
            "background": bool(given.background),
            "store": given.stored,
            "anchor": anchor,
        }
        access, [order] = await creation_allowed(request, [order])
        store = partial(_create, request.app.state.server, access, place)
        return cls(order, store, Subject(order.run_id, order.thread_id, now_us(), asked))


async def _create(server: Server, access: Access, place: _Place, order: Order) -> Created:
    if place.after_run is None:
        return await server.engine.create(access, order)

    def require_last(conn: Connection) -> None:
        newest = queries.list_runs(conn, order.thread_id, EVERYTHING, limit=1, offset=0, status=None)
        if newest and newest[0].run_id != place.after_run:
            raise _GoneOn

    try:
        return await server.engine.create_on(access, order, require_last)
    except _GoneOn:
        # Another response continues the same one: each sees what was there, and not the other.
        if place.state.checkpoint_id is None:
            raise Refused("The previous response has left nothing to continue from.", "previous_response_id") from None
        config = order.kwargs["config"]
        configurable = {**config["configurable"], "checkpoint_id": place.state.checkpoint_id}
        kwargs = {**order.kwargs, "config": {**config, "configurable": configurable}}
        return await server.engine.create(access, replace(order, kwargs=kwargs))


async def _place(request: Request, given: ResponseCreate) -> _Place:
    if given.previous_response_id is not None:
        run, access = await find(request, given.previous_response_id)
        if run.settled_at is None:
            raise Refused(
                f"The response {given.previous_response_id!r} is still in progress.",
                "previous_response_id",
                "in_progress",
            )
        paused = run.status == "success"
        state = await state_of(request, access, run.thread_id, run.run_id, paused=paused)
        return _Place(run.thread_id, state, run.run_id)
    if given.conversation is not None:
        name = given.conversation.get("id") if isinstance(given.conversation, Mapping) else given.conversation
        thread_id = thread_id_of(str(name))
        if thread_id is None:
            raise NotFound(f"Conversation with id {name!r} not found.")
        access = await allowed(request, "threads", "read", {"thread_id": thread_id})
        thread = await request.app.state.server.db.lookup(current, thread_id, access)
        if thread is None:
            raise NotFound(f"Conversation with id {name!r} not found.")
        state = await state_of(request, access, thread_id, None, paused=thread.status == "interrupted")
        return _Place(thread_id, state)
    return _Place()


def _answers(given: ResponseCreate, state: State) -> tuple[dict[str, Any], str | list[dict[str, Any]] | None]:
    """The answers to what the thread waits for, and the rest of the input. Raises Refused when nothing is answered."""
    waiting = {str(each["id"]) for each in state.interrupts}
    if not waiting:
        return {}, given.input
    items = given.input if isinstance(given.input, list) else []
    answers: dict[str, Any] = {}
    rest = []
    for place, item in enumerate(items):
        if item.get("type") == "function_call_output" and item.get("call_id") in waiting:
            answers[item["call_id"]] = parsed(output_of(item, f"input[{place}]"))
        else:
            rest.append(item)
    if not answers:
        raise Refused(f"No tool output found for function call {min(waiting)}.", "input")
    return answers, rest


def _instructions(given: ResponseCreate, state: State) -> list[dict[str, Any]]:
    """The system message of this request. That of an earlier one does not stay (as with OpenAI)."""
    if given.instructions is not None:
        return [{"type": "system", "id": INSTRUCTIONS, "content": given.instructions}]
    known = any(message.get("id") == INSTRUCTIONS for message in state.messages)
    return [{"type": "remove", "id": INSTRUCTIONS, "content": ""}] if known else []


def _body(
    assistant_id: str,
    given: ResponseCreate,
    keys: frozenset[str],
    messages: Sequence[Message],
    answers: Mapping[str, Any],
    place: _Place,
) -> RunCreate:
    """The run, as a client of the Agent Server would ask for it."""
    state = {**({"messages": messages} if messages else {}), **_tools(given, keys, known=place.thread_id is not None)}
    fields: dict[str, Any] = {
        "assistant_id": assistant_id,
        "metadata": given.metadata,
        "stream_mode": MODES if given.stream else None,
        "stream_resumable": given.stored and bool(given.background and given.stream),
        "on_disconnect": "continue" if given.background else "cancel",
    }
    if BREAKPOINT in answers:
        fields["command"] = {"update": state} if state else None
    elif answers:
        fields["command"] = {"resume": dict(answers), "update": state or None}
    else:
        fields["input"] = {"messages": messages, **state}
    if not given.stored:
        return RunCreateStateless.model_validate(fields)
    new = place.thread_id is None
    return RunCreateStateful.model_validate({**fields, "if_not_exists": "create" if new else "reject"})


def _tools(given: ResponseCreate, keys: frozenset[str], *, known: bool) -> dict[str, Any]:
    """The client's tools as part of the state. On a thread that is `known`, those of earlier requests do not stay. Raises Refused
    where the graph would not see them."""
    if not given.tools:
        return {"tools": []} if known and "tools" in keys else {}
    if "tools" not in keys:
        raise unsupported(
            "tools", "the assistant's graph has no 'tools' in its input, so that it takes none from clients"
        )
    for place, tool in enumerate(given.tools):
        if tool.get("type") != "function" or not tool.get("name"):
            raise unsupported(f"tools[{place}]", "only functions with a name can be given to an assistant")
    return {"tools": [{key: tool.get(key) for key in ("name", "description", "parameters")} for tool in given.tools]}
