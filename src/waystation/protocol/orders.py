"""The runs that commands start: ``run.start``, ``input.respond`` and ``state.fork`` (spec 13.1)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from msgspec.structs import replace
from pydantic import Field, ValidationError
from sqlalchemy import Connection, Row
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.http.authorization import allowed
from waystation.http.bodies import Body, describe
from waystation.protocol.models import CommandFailed
from waystation.runs import queries
from waystation.runs.models import MultitaskStrategy, RunCreateStateful
from waystation.runs.order import Order
from waystation.runs.permission import creation_allowed
from waystation.runs.starting import order_of
from waystation.runs.translate import EVENT_STREAMING, EVENT_STREAMING_MODES
from waystation.runs.waiting import until_over
from waystation.threads.interrupts import open_interrupts

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["body_of", "fork", "order_on", "respond", "start"]

SETTLE_S = 5
"""How long an answer to an interrupt waits for the run that asked to be settled."""


class Answer(Body):
    """What to answer one interrupt."""

    interrupt_id: str
    response: Any = None
    namespace: list[str] = Field(default_factory=list)


class Answers(Body):
    """What to answer one interrupt or several."""

    responses: list[Answer] = Field(min_length=1)


async def start(request: Request, thread_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Start a run on the thread, which is made if need be. On a thread that waits at an interrupt the input is the answer.

    Raises CommandFailed for parameters that are wrong, and what `Engine.create` raises."""
    if not isinstance(params.get("assistant_id"), str):
        raise CommandFailed("invalid_argument", "params.assistant_id must be the id of an assistant or of a graph.")
    strategy = params.get("multitaskStrategy", params.get("multitask_strategy"))
    body = body_of(
        assistant_id=params["assistant_id"],
        input=params.get("input"),
        config=params.get("config"),
        metadata=params.get("metadata"),
        langsmith_tracer=params.get("langsmith_tracer"),
        multitask_strategy=strategy if strategy in get_args(MultitaskStrategy) else "enqueue",
        if_not_exists="create",
    )
    order = order_on(request, thread_id, body)
    access, [order] = await creation_allowed(request, [order])
    server: Server = request.app.state.server

    def draw(conn: Connection) -> Order:
        thread = queries.find_thread(conn, thread_id, access)
        forks = "checkpoint_id" in order.kwargs["config"]["configurable"]
        if body.input is None or forks or not _waits(conn, thread):
            return order
        return replace(order, kwargs={**order.kwargs, "input": None, "command": {"resume": body.input}})

    return {"run_id": await _created(server, access, thread_id, order, draw if body.input is not None else None)}


async def respond(request: Request, thread_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer interrupts: resume the thread with all answers at once. Raises CommandFailed, and what `Engine.create` raises."""
    answers = _answers(params)
    server: Server = request.app.state.server
    readable = await allowed(request, "threads", "read", {"thread_id": thread_id})
    thread = await server.db.lookup(queries.find_thread, thread_id, readable)
    known = dict(thread.metadata) if thread is not None else {}
    assistant_id = known.get("assistant_id") or known.get("graph_id")
    if not isinstance(assistant_id, str):
        raise _no_such_interrupt(answers[0].interrupt_id)
    command = {"resume": {answer.interrupt_id: answer.response for answer in answers}}
    command.update({key: params[key] for key in ("update", "goto") if params.get(key) is not None})
    body = body_of(
        assistant_id=assistant_id, config=params.get("config"), metadata=params.get("metadata"), command=command
    )
    access, [order] = await creation_allowed(request, [order_on(request, thread_id, body)])
    until = time.monotonic() + SETTLE_S
    while True:
        busy: list[str] = []

        def draw(conn: Connection, busy: list[str] = busy) -> Order | None:
            thread = queries.find_thread(conn, thread_id, access)
            busy += [run.run_id for run in queries.active_runs(conn, thread_id)] if thread is not None else []
            if busy:
                return None
            open_ids = _interrupt_ids(thread)
            for answer in answers:
                if answer.interrupt_id not in open_ids:
                    raise _no_such_interrupt(answer.interrupt_id)
            return order

        if await _created(server, access, thread_id, order, draw) or not busy:
            return {}
        left = until - time.monotonic()
        if left <= 0:
            raise CommandFailed("unknown_error", "409: The thread is busy with a run; answer when it has stopped.")
        with server.bus.wait_for_end(busy[0]) as waiter:
            await waiter.announce()
            await until_over(server.db, server.bus, waiter, left)


async def fork(request: Request, thread_id: str, assistant_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Start a run at an earlier checkpoint, whose id has been checked."""
    config = dict(params["config"]) if isinstance(params.get("config"), Mapping) else {}
    configurable = {**(config.get("configurable") or {}), "checkpoint_id": params["checkpoint_id"]}
    body = body_of(
        assistant_id=assistant_id, input=params.get("input"), config={**config, "configurable": configurable}
    )
    access, [order] = await creation_allowed(request, [order_on(request, thread_id, body)])
    run_id = await _created(request.app.state.server, access, thread_id, order, None)
    return {"run_id": run_id, "thread_id": thread_id}


async def _created(server: Server, access: Access, thread_id: str, order: Order, draw: Any) -> str | None:
    """Create the run, if `draw` orders it in the same transaction; its id."""
    if draw is None:
        await server.engine.create(access, order)
        return order.run_id
    created = await server.engine.create_drawn(access, thread_id, draw)
    return None if created is None else order.run_id


def body_of(**fields: Any) -> RunCreateStateful:
    """The body of a run that can be followed by the protocol. Raises CommandFailed for fields that are wrong."""
    try:
        return RunCreateStateful.model_validate(
            {
                **{name: value for name, value in fields.items() if value is not None},
                "stream_mode": list(EVENT_STREAMING_MODES),
                "stream_subgraphs": True,
                "stream_resumable": True,
            }
        )
    except ValidationError as error:
        raise CommandFailed("invalid_argument", f"params: {describe(error)}") from None


def order_on(request: Request, thread_id: str, body: RunCreateStateful) -> Order:
    """The order of such a run."""
    order = order_of(request, body, thread_id)
    return replace(order, kwargs={**order.kwargs, EVENT_STREAMING: True})


def _answers(params: Mapping[str, Any]) -> Sequence[Answer]:
    given = {"responses": params["responses"]} if "responses" in params else {"responses": [params]}
    try:
        return Answers.model_validate(given).responses
    except ValidationError as error:
        raise CommandFailed("invalid_argument", f"params: {describe(error)}") from None


def _waits(conn: Connection, thread: Row[*tuple[Any, ...]] | None) -> bool:
    """Whether the thread waits for an interrupt to be answered."""
    return thread is not None and bool(_interrupt_ids(thread)) and not queries.active_runs(conn, thread.thread_id)


def _interrupt_ids(thread: Row[*tuple[Any, ...]] | None) -> set[str]:
    return set() if thread is None else {each["id"] for each in open_interrupts(thread.interrupts)}


def _no_such_interrupt(interrupt_id: str) -> CommandFailed:
    return CommandFailed("no_such_interrupt", f"The thread does not wait for an answer to interrupt {interrupt_id!r}.")
