"""Answers that leave in one piece.

uvicorn sends the head of an answer as soon as it has it. Most bodies follow at once, and a second packet costs the server a call of
the system, some 25 µs, and the client another wake-up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["Joining"]


class Joining(HttpToolsProtocol):
    """uvicorn's protocol. The head of an answer whose length it tells waits for the first part of the body."""

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.cycle is not None and self.scope["method"] != "HEAD":
            self.cycle.transport = _Joined(self.cycle)  # type: ignore[assignment]


class _Joined:
    """The transport as one answer uses it, until its body has begun."""

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport: asyncio.Transport = cycle.transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send `data`, or keep it if it is a head with a body to come. What comes before an answer is neither."""
        if self._head is not None:
            self._cycle.transport = self._transport
            self._transport.write(self._head + data)
        elif self._cycle.response_started and self._cycle.expected_content_length:
            self._head = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send a head whose body will not come, and close the connection."""
        if self._head is not None:
            self._transport.write(self._head)
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
