"""Running an assistant for an AG-UI client, and what it gets to see of that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING

from ag_ui.core import BaseEvent, RunAgentInput
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from waystation.agui.interrupts import open_interrupts
from waystation.agui.options import options_of
from waystation.agui.request import asked_of, body_of
from waystation.agui.threads import thread_id_of
from waystation.agui.translation import Translation, frame
from waystation.assistants.runnable import input_keys, runnable
from waystation.auth.access import Access
from waystation.errors import UnprocessableInput
from waystation.http.authorization import access_of, allowed
from waystation.http.bodies import describe, read_bytes
from waystation.http.configurable import server_configurable
from waystation.runs import starting
from waystation.runs.watching import from_the_beginning
from waystation.streams.bus import Subscription
from waystation.streams.following import Follower
from waystation.streams.response import NO_LONGER_VALID, StreamResponse
from waystation.streams.sse import HEADERS as SSE_HEADERS
from waystation.streams.sse import HEARTBEAT_LF
from waystation.threads.current import Current, current
from waystation.threads.history import history

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["run"]

STATES = 1_000
"""Beginnings of runs that are looked through for a message that is to be answered anew."""


async def run(request: Request, called: str) -> Response:
    """The events of a run that the body of the request asks for, or of none if there is nothing to do. Raises
    UnprocessableInput, and what `runnable` and creating a run raise."""
    server: Server = request.app.state.server
    given = await _read(request)
    options = options_of(given.forwarded_props)
    thread_id = thread_id_of(given.thread_id, access_of(request))
    assistant = await runnable(request, called)
    keys = await input_keys(request, assistant)
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    thread = await server.db.lookup(current, thread_id, access) or Current()
    translation = Translation(given, tells_outcome=options.interrupt_outcome is not False)
    asked = asked_of(given, options, thread, keys)
    if asked is None:
        return StreamResponse(_at_rest(translation, thread), {**SSE_HEADERS})
    checkpoint_id = await _checkpoint_before(request, access, thread_id, asked.from_before)
    body = body_of(assistant.assistant_id, given, options, asked, checkpoint_id)
    order = starting.order_of(request, body, thread_id)
    with ExitStack() as resources:
        subscription = await starting.start_followed(request, order, resources)
        follower = from_the_beginning(server, subscription, resumable=False)
        headers = {**SSE_HEADERS, "Content-Location": f"/threads/{thread_id}/runs/{order.run_id}"}
        cancel = None
        if body.on_disconnect == "cancel":
            cancel = starting.canceller(request, starting.OWN, thread_id, order.run_id)
        told = _events(translation, follower, subscription)
        return StreamResponse(told, headers, cancel, resources.pop_all(), _refused(translation))


async def _read(request: Request) -> RunAgentInput:
    try:
        return RunAgentInput.model_validate_json(await read_bytes(request))
    except ValidationError as error:
        raise UnprocessableInput(describe(error)) from None


async def _checkpoint_before(request: Request, access: Access, thread_id: str, message_id: str | None) -> str | None:
    """The newest checkpoint that does not have the message; None without a message."""
    if message_id is None:
        return None
    server: Server = request.app.state.server
    beginnings = await history(
        server, access, thread_id, STATES, metadata={"source": "input"}, configurable=server_configurable(request)
    )
    for state in beginnings:
        if all(message.id != message_id for message in state["values"].get("messages") or ()):
            return str(state["checkpoint_id"])
    raise UnprocessableInput(f"messages: the thread has no state without the message {message_id!r} to go back to.")


async def _events(
    translation: Translation, follower: Follower, subscription: Subscription
) -> AsyncGenerator[bytes, None]:
    yield _framed(translation.begin())
    async with aclosing(follower.batches()) as batches:
        async for events in batches:
            told: list[BaseEvent] = []
            for event in events:
                told += translation.take(event) if event.end is None else translation.end(event.end)
            yield _framed(told) if events else HEARTBEAT_LF
            if any(event.end is not None for event in events):
                return
    if subscription.overflowed:
        yield frame(translation.broken("Events arrived faster than they were read; the run goes on.", "slow_consumer"))
    else:
        yield frame(translation.broken("The server is stopping; the run goes on.", "server_stopping"))


async def _at_rest(translation: Translation, thread: Current) -> AsyncGenerator[bytes, None]:
    yield _framed(translation.begin())
    if thread.values is not None:
        yield _framed(translation.shows(thread.values))
    yield _framed(translation.rest(open_interrupts(thread)))


def _refused(translation: Translation) -> bytes:
    return frame(translation.broken(NO_LONGER_VALID, "unauthorized"))


def _framed(events: Iterable[BaseEvent]) -> bytes:
    return b"".join(map(frame, events))
