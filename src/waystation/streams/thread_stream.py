"""The events of a thread across all its runs (spec 9)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import orjson
from msgspec.structs import replace

from waystation.encoding import encode
from waystation.errors import UnprocessableInput
from waystation.streams import queries
from waystation.streams.bus import Bus, Subscription
from waystation.streams.events import BEGINNING, PROTOCOL_ONLY, Event, Positions, parse_event_id
from waystation.streams.following import Follower
from waystation.streams.sse import HEARTBEAT, INTERRUPTED, frame, slow_consumer

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["STATE_UPDATE", "THREAD_NOT_FOUND", "Publisher", "ThreadStreamMode", "start_position", "thread_frames"]

ThreadStreamMode = Literal["run_modes", "lifecycle", "state_update"]

STATE_UPDATE = "state_update"

THREAD_NOT_FOUND = {"error": "HTTPException", "message": "404: Thread not found"}
"""The error event of a thread that the caller may not see (spec 8.5, 9)."""


class Publisher:
    """Puts events on a thread's log that belong to no run."""

    def __init__(self, bus: Bus, positions: Positions) -> None:
        self._bus = bus
        self._positions = positions

    def publish_state(self, thread_id: str, state: dict[str, object]) -> None:
        """Tell the thread's listeners that its state was edited."""
        if self._bus.listened(thread_id):
            data = encode({"state": state, "thread_id": thread_id})
            self._bus.publish([Event(self._positions.next(), thread_id, None, STATE_UPDATE, data)])


def start_position(last_event_id: str | None) -> int | None:
    """The position after which to replay; None for no replay. Raises UnprocessableInput for an id that cannot be read."""
    if last_event_id is None:
        return None
    if last_event_id in ("-", "0", "-1"):
        return BEGINNING
    position = parse_event_id(last_event_id)
    if position is None:
        raise UnprocessableInput(f"Invalid Last-Event-ID {last_event_id!r}: it must be -, <ms>, <ms>-<n> or <ms>-*.")
    return position


async def thread_frames(
    server: Server, subscription: Subscription, after: int | None, modes: Sequence[ThreadStreamMode]
) -> AsyncIterator[bytes]:
    """Frames of a thread's stored events after `after`, then live ones, for as long as the client stays."""
    await subscription.announce()
    last = await server.db.lookup(queries.last_position, subscription.thread_id)
    newest = BEGINNING if last is None else last
    start = newest if after is None else min(after, newest)
    follower = Follower(server.db, server.bus, subscription, server.config.heartbeat_s, after=start, stored=True)
    async with aclosing(follower.replay()) as stored:
        async for events in stored:
            if pieces := [piece for event in events for piece in _frames(event, modes)]:
                yield b"".join(pieces)
    told = False
    async with aclosing(follower.batches()) as batches:
        async for events in batches:
            if pieces := [piece for event in events for piece in _frames(event, modes)]:
                yield b"".join(pieces)
            elif not events:
                yield HEARTBEAT if told or not follower.interrupted else INTERRUPTED
                told = follower.interrupted
    if subscription.overflowed:
        yield slow_consumer()


def _frames(event: Event, modes: Sequence[ThreadStreamMode]) -> list[bytes]:
    if event.end is not None:
        if not {"run_modes", "lifecycle"} & set(modes):
            return []
        data = orjson.dumps({"status": "run_done", "run_id": event.run_id})
        return [frame(replace(event, name="metadata", data=data), with_id=True)]
    if event.name == STATE_UPDATE:
        wanted = STATE_UPDATE in modes
    elif event.name == "metadata":
        wanted = "run_modes" in modes or "lifecycle" in modes
    else:
        wanted = "run_modes" in modes and not event.name.startswith(PROTOCOL_ONLY)
    return [frame(event, with_id=True)] if wanted else []
