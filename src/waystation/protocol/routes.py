"""HTTP and WebSocket routes of the event streaming protocol (spec 13)."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from waystation.encoding import decode, encode
from waystation.errors import BadInput
from waystation.http.bodies import describe, read_bytes, require_uuid
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router
from waystation.protocol.commands import Commands, InvalidCommand
from waystation.protocol.filters import EventStreamRequest, Filter, as_filter
from waystation.protocol.models import COMMAND, CommandRequest, failure, gap
from waystation.protocol.reader import Missed, Reader
from waystation.protocol.sessions import Session
from waystation.protocol.watching import Watch
from waystation.streams.response import StreamResponse
from waystation.streams.sse import HEADERS, HEARTBEAT, raw_frame

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["router"]

router = Router(tags=["Streaming"])


@router.post(
    "/threads/{thread_id}/commands",
    **operation("Send a command of the event streaming protocol", CommandRequest, COMMAND),
)
async def post_command(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    command = await _json(request)
    try:
        return json_response(await Commands(request, thread_id).answer(command))
    except InvalidCommand as invalid:
        return json_response(failure(invalid.command_id, invalid), 400)


@router.post(
    "/threads/{thread_id}/stream/events",
    **operation("Follow the events of a thread (event streaming protocol)", EventStreamRequest, streams=True),
)
async def post_events(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    server: Server = request.app.state.server
    try:
        wanted = EventStreamRequest.model_validate(await _json(request))
    except ValidationError as error:
        raise BadInput(describe(error)) from None
    server.unknown_fields.tell(wanted)
    watch = await Watch.of(request, thread_id)
    if await watch.hidden():
        return StreamResponse(_nothing(), HEADERS)
    with ExitStack() as resources:
        session = resources.enter_context(server.sessions.reading(thread_id))
        frames = _events(server, session, watch, as_filter(wanted), wanted.since or 0)
        return StreamResponse(frames, HEADERS, resources=resources.pop_all())


@router.websocket("/threads/{thread_id}/stream/events")
async def connect_events(scope: Scope, receive: Receive, send: Send, thread_id: str) -> None:
    from waystation.protocol.connection import serve  # what no WebSocket needs need not be imported

    await serve(scope, receive, send, thread_id)


async def _json(request: Request) -> Any:
    try:
        return decode(await read_bytes(request))
    except ValueError:
        raise BadInput("The request body is not JSON.") from None


async def _nothing() -> AsyncIterator[bytes]:
    """What there is to see of somebody else's thread."""
    return
    yield b""


async def _events(
    server: Server, session: Session, watch: Watch, wanted: Filter, since: int
) -> AsyncGenerator[bytes, None]:
    """What happened on the thread after the event with the number `since`, then what happens, for as long as the client stays."""
    reader = Reader(session, server)
    silent_s = server.config.heartbeat_s / 2  # a reader is woken at least once in the time of a heartbeat
    spoke = time.monotonic()
    try:
        async with aclosing(reader.replay(since)) as pages:
            async for batch in pages:
                if past := batch.encoded(wanted):
                    yield past
        while not reader.over:
            batch = await reader.live()
            if not await watch.may_see(batch):
                return
            chosen = batch.encoded(wanted)
            if chosen or time.monotonic() - spoke >= silent_s:
                spoke = time.monotonic()
                yield chosen or HEARTBEAT
    except Missed as missed:
        yield raw_frame("error", encode(gap(missed.seen, missed.oldest)))
    finally:
        await reader.close()
