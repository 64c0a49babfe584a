"""CORS for requests that come from browsers, at little cost to all others."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

__all__ = ["Cors"]

VARY = (b"vary", b"Origin")
"""A cache must not give an answer to another origin than it was for, or to none."""


class Cors(CORSMiddleware):
    """Starlette's, for requests that name their origin. The answer to any other is only marked as one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or b"origin" in dict(scope["headers"]):
            await super().__call__(scope, receive, send)
            return

        async def marking(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), VARY]
            await send(message)

        await self.app(scope, receive, marking)
