"""The id of each request: the client's own (``X-Request-Id``) or a new one. It is in every line of the log that the request is the
cause of, in those of the run it asks for, in the answer, and known to graphs as ``langgraph_request_id`` (spec 1.6)."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid4

from waystation.observability.logs import context as log_context

__all__ = ["RequestIds", "request_id_of"]

HEADER = b"x-request-id"

KEY = "waystation.request_id"
"""Where the scope has it."""

ACCEPTABLE = re.compile(rb"[\x20-\x7e]{1,200}")
"""An id that a client may give: it ends up in logs and in a header."""


class RequestIds:
    """Pure ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        told = (HEADER, request_id.encode())

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), told]
            await send(message)

        with log_context(request_id=request_id):
            await self._app(scope, receive, telling)


def request_id_of(scope: Scope) -> str:
    """The id of the request that `scope` is of."""
    known = scope.get(KEY)
    if known is None:
        known = scope[KEY] = _given(scope) or str(uuid4())
    found: str = known
    return found


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode() if ACCEPTABLE.fullmatch(value) else None
    return None
