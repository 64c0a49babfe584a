"""Server-sent events as the tests read them: strictly in the reference's framing (spec 8.1)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["HEARTBEAT", "INTERRUPTED", "STOPPING", "SseEvent", "names", "parse", "received"]

HEARTBEAT = b": heartbeat"
STOPPING = b": the server is stopping; reconnect to go on"
INTERRUPTED = b": live events are interrupted"
_FRAME = re.compile(rb"event: ([^\r\n]+)\r\ndata: ([^\r\n]*)(?:\r\nid: ([^\r\n]+))?")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event; `data` is decoded JSON."""

    name: str
    data: Any
    id: str | None


def parse(body: bytes) -> list[SseEvent]:
    """The events of a whole stream, without comments. Raises AssertionError for anything else between them."""
    assert body == b"" or body.endswith(b"\r\n\r\n")
    return [event for block in body.split(b"\r\n\r\n")[:-1] for event in _event(block)]


def _event(block: bytes) -> list[SseEvent]:
    if block in (HEARTBEAT, INTERRUPTED, STOPPING):
        return []
    match = _FRAME.fullmatch(block)
    assert match is not None, f"not a frame: {block!r}"
    name, data, event_id = match.groups()
    return [SseEvent(name.decode(), json.loads(data), event_id.decode() if event_id is not None else None)]


async def received(response: httpx.Response) -> AsyncIterator[SseEvent]:
    """The events of a live stream as they arrive, without comments."""
    left = b""
    async for piece in response.aiter_raw():
        left += piece
        while (end := left.find(b"\r\n\r\n")) >= 0:
            for event in _event(left[:end]):
                yield event
            left = left[end + 4 :]
    assert left == b"", f"the stream ended within a frame: {left!r}"


def names(events: list[SseEvent]) -> list[str]:
    """The names of `events`, in order."""
    return [event.name for event in events]
