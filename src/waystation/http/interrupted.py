"""What a client sees of an answer that the server's shutdown cuts off."""

from __future__ import annotations

from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["InterruptedStreams", "Stopping"]

RECONNECT = b": the server is stopping; reconnect to go on\r\n\r\n"
"""For an event stream. Only a comment: of a ``retry`` field some clients would make an event without a name."""


class Stopping(Protocol):
    """What this needs of a server."""

    stopping: bool
    """Set once answers are cut off."""


class InterruptedStreams:
    """Pure ASGI middleware: answers without a length that end while the server stops, end as what they are.

    An event stream ends in good order after a word about it: clients then ask what became of the run. An answer that was waiting
    for its JSON must not look complete, because nothing would be taken for the result: its last chunk is left out, so that clients
    see a broken connection and follow its ``Location``."""

    def __init__(self, app: ASGIApp, server: Stopping) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        last = b""

        async def observed(message: Message) -> None:
            nonlocal start, last
            if message["type"] == "http.response.start":
                start = message
            elif message.get("more_body"):
                last = message["body"]
            elif self._server.stopping:
                kind = _kind_of_stream(start)
                if kind == b"text/event-stream":
                    await send({"type": "http.response.body", "body": RECONNECT, "more_body": True})
                elif kind == b"application/json" and not last.strip():
                    return
            await send(message)

        await self._app(scope, receive, observed)


def _kind_of_stream(start: Message) -> bytes | None:
    """The media type of an answer that has no length; None for one that has."""
    headers = dict(start["headers"])
    if b"content-length" in headers:
        return None
    kind: bytes = headers.get(b"content-type", b"")
    return kind.split(b";", 1)[0]
