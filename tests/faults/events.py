"""A strict reader of event streams, which does not repair what a server got wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

__all__ = ["Event", "events_of", "position"]


@dataclass(frozen=True)
class Event:
    """One event that arrived whole."""

    id: str
    name: str
    data: Any


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream. One that is cut off before its blank line did not arrive."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Event(fields.get("id", ""), fields["event"], orjson.loads(fields["data"]))
            fields = {}


def position(event: Event) -> tuple[int, int]:
    """The order that an event's id states."""
    milliseconds, _, counter = event.id.partition("-")
    return int(milliseconds), int(counter)
