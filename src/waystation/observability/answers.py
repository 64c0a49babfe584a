"""Watching how a request is answered."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Message, Send

__all__ = ["Answer"]


class Answer:
    """The ``send`` of a request, passed on to the next, that knows what was answered."""

    __slots__ = ("_on_stream", "_send", "is_event_stream", "status")

    def __init__(self, send: Send, on_stream: Callable[[], None] | None = None) -> None:
        """`on_stream` is called when the answer turns out to be an event stream."""
        self._send = send
        self._on_stream = on_stream
        self.status = 500
        """That is what the server answers if the application raises before it has answered."""
        self.is_event_stream = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if _is_event_stream(message):
                self.is_event_stream = True
                if self._on_stream is not None:
                    self._on_stream()
        await self._send(message)


def _is_event_stream(message: Message) -> bool:
    for name, value in message.get("headers", ()):
        if value.startswith(b"text/event-stream") and name.lower() == b"content-type":
            return True
    return False
