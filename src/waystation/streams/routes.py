"""HTTP route of the thread stream (spec 9)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import cast, get_args

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import EVERYTHING
from waystation.encoding import encode
from waystation.errors import NotFound, UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.bodies import require_uuid
from waystation.http.openapi import operation
from waystation.http.router import Router
from waystation.streams.response import StreamResponse
from waystation.streams.sse import HEADERS, raw_frame
from waystation.streams.thread_stream import THREAD_NOT_FOUND, ThreadStreamMode, start_position, thread_frames
from waystation.threads import require_thread

__all__ = ["router"]

router = Router(tags=["Threads"])


@router.get("/threads/{thread_id}/stream", **operation("Stream the events of a thread's runs", streams=True))
async def stream_thread(request: Request, thread_id: str) -> Response:
    server = request.app.state.server
    thread_id = require_uuid(thread_id, "thread_id")
    modes, after = _modes(request), start_position(request.headers.get("last-event-id"))
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    with ExitStack() as resources:
        subscription = resources.enter_context(server.bus.subscribe(thread_id))
        try:
            await server.db.lookup(require_thread, thread_id, access)
        except NotFound:
            await server.db.lookup(require_thread, thread_id, EVERYTHING)
            return StreamResponse(_hidden(), HEADERS)
        frames = thread_frames(server, subscription, after, modes)
        return StreamResponse(frames, HEADERS, resources=resources.pop_all())


async def _hidden() -> AsyncIterator[bytes]:
    """What there is to see of somebody else's thread."""
    yield raw_frame("error", encode(THREAD_NOT_FOUND))


def _modes(request: Request) -> list[ThreadStreamMode]:
    """``stream_modes`` or ``stream_mode``; comma-separated, a JSON array, or repeated: clients differ."""
    modes: list[str] = []
    for name in ("stream_modes", "stream_mode"):
        for text in request.query_params.getlist(name):
            names = text.split(",")
            with contextlib.suppress(ValueError):
                names = TypeAdapter(list[str]).validate_json(text)
            modes += [each.strip() for each in names if each.strip()]
    known = get_args(ThreadStreamMode)
    for mode in modes:
        if mode not in known:
            raise UnprocessableInput(f"Invalid stream mode {mode!r}: it must be one of {', '.join(known)}.")
    return [cast(ThreadStreamMode, mode) for mode in modes] or ["run_modes"]
