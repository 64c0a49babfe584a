"""The events of one run as a client sees them: live, joined later, or resumed (spec 8.5, 8.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.runs import queries
from waystation.runs.waiting import RUN_NOT_FOUND
from waystation.streams import queries as event_queries
from waystation.streams.bus import Subscription
from waystation.streams.events import BEGINNING, Event, parse_event_id
from waystation.streams.sse import HEARTBEAT, frame, raw_frame

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["joined", "live", "mode_filter"]

PAGE = 500
"""Stored events read at a time."""

SLOW = {"error": "SlowConsumer", "message": "Events arrived faster than they were read; reconnect to go on."}


Wanted = Callable[[Event], bool]


def mode_filter(modes: Sequence[str]) -> Wanted:
    """Which events a joining client wants: those of its modes, or all when it names none (spec 8.5)."""
    if not modes:
        return lambda event: True
    names = {mode for mode in modes if not mode.startswith("messages")}
    messages = len(names) < len(modes)

    def wanted(event: Event) -> bool:
        return event.name.split("|", 1)[0] in names or (messages and event.name.startswith("messages"))

    return wanted


async def live(
    server: Server,
    access: Access,
    subscription: Subscription,
    run_id: str,
    *,
    wanted: Wanted,
    after: int = BEGINNING,
) -> AsyncIterator[bytes]:
    """Frames of everything that arrives on `subscription`, until the run is settled. The caller has subscribed already."""
    settled = False
    while True:
        batch = await subscription.batch(0 if settled else server.config.heartbeat_s)
        frames: list[bytes] = []
        for event in batch:
            if event.end is not None:
                if event.end.status != "pending":
                    if frames:
                        yield b"".join(frames)
                    return
            elif event.position > after and wanted(event):
                frames.append(frame(event, with_id=event.resumable))
        if frames:
            yield b"".join(frames)
        elif not batch:
            if subscription.overflowed:
                yield raw_frame("error", encode(SLOW))
            if subscription.over or settled:
                return
            run = await server.db.lookup(queries.find_run, subscription.thread_id, run_id, access)
            if run is None or run.settled_at is not None:
                settled = True  # its last events may have arrived while we looked
            else:
                yield HEARTBEAT


async def joined(
    server: Server,
    access: Access,
    thread_id: str,
    run_id: str,
    *,
    last_event_id: str | None,
    modes: Sequence[str],
) -> AsyncIterator[bytes]:
    """Frames of a run that was created earlier: stored events after `last_event_id` if it keeps any, then live ones."""
    wanted = mode_filter(modes)
    with server.bus.subscribe(thread_id, run_id) as subscription:
        run = await server.db.lookup(queries.find_run, thread_id, run_id, access)
        if run is None:
            yield raw_frame("error", encode(RUN_NOT_FOUND))
            return
        after = _position(last_event_id) if run.kwargs.get("resumable") else None
        seen = BEGINNING  # of what is stored; whatever arrives live is newer than anything the client can have seen
        if after is not None:
            while True:
                stored = await server.db.read(event_queries.read_run, thread_id, run_id, max(after, seen), PAGE)
                if chosen := [frame(event, with_id=True) for event in stored if wanted(event)]:
                    yield b"".join(chosen)
                if stored:
                    seen = stored[-1].position
                if len(stored) < PAGE:
                    break
        if run.settled_at is not None:
            return
        async for piece in live(server, access, subscription, run_id, wanted=wanted, after=seen):
            yield piece


def _position(last_event_id: str | None) -> int | None:
    """Where to resume; None for nowhere: no id was given, or none that can be read."""
    if last_event_id is None:
        return None
    if last_event_id in ("-1", "-"):
        return BEGINNING
    return parse_event_id(last_event_id)
