"""Creating a response, waiting for it, and following it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import Response

from waystation.encoding import decode, encode
from waystation.http.responses import json_response
from waystation.messages.content import conversation_of
from waystation.responses.errors import Refused
from waystation.responses.response import Outcome, Subject, failed
from waystation.responses.starting import Start
from waystation.responses.stored import State, outcome_of, rested
from waystation.responses.streaming import Translation, event_frame
from waystation.runs import queries, starting
from waystation.runs.waiting import KEEP_ALIVE, ResultWaiter
from waystation.runs.watching import from_the_beginning
from waystation.streams import queries as event_queries
from waystation.streams.bus import EndWaiter, Subscription
from waystation.streams.events import Event, RunEnd
from waystation.streams.following import Follower
from waystation.streams.response import NO_LONGER_VALID, StreamResponse
from waystation.streams.sse import HEADERS as SSE_HEADERS
from waystation.streams.sse import HEARTBEAT_LF

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["begun", "followed", "followed_again", "waited"]

REFUSED = event_frame("error", 0, code="invalid_api_key", message=NO_LONGER_VALID, param=None)
_JSON = {"content-type": "application/json"}


async def begun(start: Start) -> Response:
    """The response as it is when its run is stored."""
    created = await start.store(start.order)
    subject = replace(start.subject, created_at=created.run["created_at"])
    return json_response(subject.response(Outcome("queued")))


async def waited(request: Request, start: Start) -> Response:
    """The response once it is over. It is cancelled if the client goes away before that."""
    order = start.order
    with ExitStack() as resources:
        waiter = await starting.awaited(request, order, start.store, resources)
        body = _body(request, start, waiter)
        cancel = starting.canceller(request, starting.OWN, order.thread_id, order.run_id)
        return StreamResponse(body, _JSON, cancel, resources.pop_all())


async def followed(request: Request, start: Start) -> Response:
    """The events of the response. It is cancelled if the client goes away before it is over, unless it is one in the background."""
    server: Server = request.app.state.server
    order = start.order
    with ExitStack() as resources:
        subscription = await starting.followed(request, order, start.store, resources)
        follower = from_the_beginning(server, subscription, resumable=order.kwargs["resumable"])
        cancel = None
        if not start.subject.asked["background"]:
            cancel = starting.canceller(request, starting.OWN, order.thread_id, order.run_id)
        body = _frames(Translation(start.subject), follower.batches(), subscription)
        return StreamResponse(body, SSE_HEADERS, cancel, resources.pop_all(), REFUSED)


async def followed_again(request: Request, run: Row[*tuple[Any, ...]], starting_after: int | None) -> Response:
    """The events of a response that is in the background, from after this number on. Raises Refused where they are not kept."""
    server: Server = request.app.state.server
    if not run.kwargs.get("resumable"):
        raise Refused(
            "Only a response that was created with 'background' and 'stream' can be streamed again.", "stream"
        )
    last = await server.db.lookup(event_queries.last_of_run, run.thread_id, run.run_id)
    if run.settled_at is not None and last is None:
        raise Refused("The events of this response are no longer kept; retrieve it without 'stream'.", "stream")
    with ExitStack() as resources:
        subscription = resources.enter_context(server.bus.subscribe(run.thread_id, run.run_id))
        await subscription.announce()
        events = _again(server, run, from_the_beginning(server, subscription, resumable=True))
        body = _frames(Translation(Subject.of(run), starting_after), events, subscription)
        return StreamResponse(body, SSE_HEADERS, None, resources.pop_all(), REFUSED)


async def _again(server: Server, run: Row[*tuple[Any, ...]], follower: Follower) -> AsyncGenerator[list[Event], None]:
    """The stored events of a run, and what comes after them."""
    newest = await server.db.lookup(queries.find_run, run.thread_id, run.run_id, starting.OWN)
    async with aclosing(follower.replay()) as stored:
        async for events in stored:
            yield events
    if newest is None or newest.settled_at is not None:
        yield [
            Event(0, run.thread_id, run.run_id, "", b"", end=RunEnd("rollback" if newest is None else newest.status))
        ]
        return
    async with aclosing(follower.batches()) as batches:
        async for events in batches:
            yield events


async def _frames(
    translation: Translation, batches: AsyncGenerator[list[Event], None], subscription: Subscription
) -> AsyncGenerator[bytes, None]:
    """The whole stream."""
    yield b"".join(translation.begin())
    async with aclosing(batches):
        async for events in batches:
            told: list[bytes] = []
            for event in events:
                told += translation.take(event) if event.end is None else translation.end(event.end)
            if told or not events:
                yield b"".join(told) or HEARTBEAT_LF
            if any(event.end is not None for event in events):
                return
    if subscription.overflowed:
        message, code = (
            "Events arrived faster than they were read; retrieve the response to see the rest.",
            "slow_consumer",
        )
    else:
        message, code = "The server is stopping; retrieve the response to see the rest.", "server_stopping"
    yield b"".join(translation.broken(message, code))


async def _body(request: Request, start: Start, waiter: EndWaiter) -> AsyncGenerator[bytes, None]:
    """The response as JSON, after whatever keeps the connection alive."""
    server: Server = request.app.state.server
    order = start.order
    waiting = ResultWaiter(server, starting.OWN, order.thread_id, order.run_id, waiter)
    async for piece in waiting.or_keep_alive():
        yield piece if piece == KEEP_ALIVE else encode(await _over(request, start, waiter, piece))


async def _over(request: Request, start: Start, waiter: EndWaiter, result: bytes) -> dict[str, Any]:
    """The response, whose run is over with this `result`."""
    order, subject = start.order, start.subject
    if subject.asked["store"]:
        db = request.app.state.server.db
        run = await db.lookup(queries.find_run, order.thread_id, order.run_id, starting.OWN)
        if run is not None:
            return replace(subject, created_at=run.created_at).response(await outcome_of(request, starting.OWN, run))
    values = decode(result)
    if isinstance(values, dict) and "__error__" in values:
        return subject.response(failed(values["__error__"]))
    interrupts = values.get("__interrupt__", []) if isinstance(values, dict) else []
    outcome = rested(subject, State(conversation_of(values), interrupts))
    end = await waiter.end(0)
    if end is not None and end.status in ("interrupted", "rollback"):
        outcome = replace(outcome, status="cancelled", incomplete=None)
    elif end is not None and end.status != "success":
        outcome = failed({"error": end.status, "message": "the run did not finish"}, outcome.output)
    return subject.response(outcome)
