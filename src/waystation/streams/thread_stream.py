"""The events of a thread across all its runs (spec 9)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import orjson

from waystation.encoding import encode
from waystation.errors import UnprocessableInput
from waystation.streams import queries
from waystation.streams.bus import MemoryBus, Subscription
from waystation.streams.events import BEGINNING, Event, Positions, parse_event_id
from waystation.streams.sse import HEARTBEAT, frame, raw_frame

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["STATE_UPDATE", "Publisher", "ThreadStreamMode", "start_position", "thread_frames"]

ThreadStreamMode = Literal["run_modes", "lifecycle", "state_update"]

STATE_UPDATE = "state_update"
PAGE = 500
"""Stored events read at a time."""


class Publisher:
    """Puts events on a thread's log that belong to no run."""

    def __init__(self, bus: MemoryBus, positions: Positions) -> None:
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
    thread_id = subscription.thread_id
    seen = BEGINNING  # of what is stored; whatever arrives live is newer than anything the client can have seen
    while after is not None:
        stored = await server.db.read(queries.read_thread, thread_id, max(after, seen), PAGE)
        if pieces := [piece for event in stored for piece in _frames(event, modes)]:
            yield b"".join(pieces)
        if stored:
            seen = stored[-1].position
        if len(stored) < PAGE:
            break
    while True:
        batch = await subscription.batch(server.config.heartbeat_s)
        pieces = [piece for event in batch if event.position > seen for piece in _frames(event, modes)]
        if pieces:
            yield b"".join(pieces)
        elif not batch:
            if subscription.overflowed:
                yield raw_frame("error", b'{"error":"SlowConsumer","message":"Reconnect with Last-Event-ID to go on."}')
            if subscription.over:
                return
            yield HEARTBEAT


def _frames(event: Event, modes: Sequence[ThreadStreamMode]) -> list[bytes]:
    if event.end is not None:
        if event.end.status == "pending" or not {"run_modes", "lifecycle"} & set(modes):
            return []
        data = orjson.dumps({"status": "run_done", "run_id": event.run_id})
        return [frame(replace(event, name="metadata", data=data), with_id=True)]
    if event.name == STATE_UPDATE:
        wanted = STATE_UPDATE in modes
    elif event.name == "metadata":
        wanted = "run_modes" in modes or "lifecycle" in modes
    else:
        wanted = "run_modes" in modes
    return [frame(event, with_id=True)] if wanted else []
