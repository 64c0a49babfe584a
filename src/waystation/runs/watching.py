"""The events of one run as a client sees them: live, joined later, or resumed (spec 8.5, 8.6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from waystation.auth.access import EVERYTHING, Access
from waystation.encoding import encode
from waystation.runs import queries
from waystation.runs.waiting import RUN_NOT_FOUND
from waystation.streams import queries as event_queries
from waystation.streams.bus import Subscription
from waystation.streams.events import BEGINNING, PROTOCOL_ONLY, Event, parse_event_id
from waystation.streams.following import Follower
from waystation.streams.sse import HEARTBEAT, INTERRUPTED, frame, raw_frame, slow_consumer
from waystation.streams.thread_stream import THREAD_NOT_FOUND

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["from_the_beginning", "joined", "live", "mode_filter"]


Wanted = Callable[[Event], bool]


def mode_filter(modes: Sequence[str]) -> Wanted:
    """Which events a joining client wants: those of its modes, or all when it names none (spec 8.5)."""
    if not modes:
        return lambda event: not event.name.startswith(PROTOCOL_ONLY)
    names = {mode for mode in modes if not mode.startswith("messages")}
    messages = len(names) < len(modes)

    def wanted(event: Event) -> bool:
        return event.name.split("|", 1)[0] in names or (messages and event.name.startswith("messages"))

    return wanted


async def live(server: Server, subscription: Subscription, *, resumable: bool) -> AsyncGenerator[bytes, None]:
    """Frames of everything from the beginning of the run that `subscription` is for, until it is settled. The caller has
    subscribed before the run was created."""
    follower = from_the_beginning(server, subscription, resumable=resumable)
    async with aclosing(_frames(follower, subscription, mode_filter(()), resumable)) as frames:
        async for piece in frames:
            yield piece


def from_the_beginning(server: Server, subscription: Subscription, *, resumable: bool) -> Follower:
    """Everything of the run that `subscription` is for. The caller has subscribed before the run was created, or it is
    `resumable`."""
    return Follower(server.db, server.bus, subscription, server.config.heartbeat_s, after=BEGINNING, stored=resumable)


async def joined(
    server: Server,
    access: Access,
    thread_id: str,
    run_id: str,
    *,
    last_event_id: str | None,
    modes: Sequence[str],
) -> AsyncGenerator[bytes, None]:
    """Frames of a run that was created earlier: stored events after `last_event_id` if it keeps any, then live ones."""
    wanted = mode_filter(modes)
    with server.bus.subscribe(thread_id, run_id) as subscription:
        run = await server.db.lookup(queries.find_run, thread_id, run_id, access)
        if run is None:
            hidden = await server.db.lookup(_is_hidden, thread_id, access)
            yield raw_frame("error", encode(THREAD_NOT_FOUND if hidden else RUN_NOT_FOUND))
            return
        resumable, over = bool(run.kwargs.get("resumable")), run.settled_at is not None
        if not over:
            await subscription.announce()
        start = await _start(server, thread_id, run_id, last_event_id) if resumable else BEGINNING
        follower = Follower(
            server.db, server.bus, subscription, server.config.heartbeat_s, after=start, stored=resumable
        )
        if resumable:
            async with aclosing(follower.replay()) as stored:
                async for events in stored:
                    if chosen := [frame(event, with_id=True) for event in events if wanted(event)]:
                        yield b"".join(chosen)
        if over:
            return
        async with aclosing(_frames(follower, subscription, wanted, resumable)) as frames:
            async for piece in frames:
                yield piece


async def _frames(
    follower: Follower, subscription: Subscription, wanted: Wanted, resumable: bool
) -> AsyncGenerator[bytes, None]:
    told = resumable  # nothing of a resumable run is lost, only late
    async with aclosing(follower.batches()) as batches:
        async for events in batches:
            if chosen := [frame(e, with_id=e.resumable) for e in events if e.end is None and wanted(e)]:
                yield b"".join(chosen)
            if any(event.end is not None for event in events):
                return
            if not events:
                yield HEARTBEAT if told or not follower.interrupted else INTERRUPTED
                told = told or follower.interrupted
    if subscription.overflowed:
        yield slow_consumer()


def _is_hidden(conn: Connection, thread_id: str, access: Access) -> bool:
    """Whether there is such a thread that the caller may not see."""
    if queries.find_thread(conn, thread_id, access) is not None:
        return False
    return queries.find_thread(conn, thread_id, EVERYTHING) is not None


async def _start(server: Server, thread_id: str, run_id: str, last_event_id: str | None) -> int:
    """The position after which a resumable run's events are wanted: those that come from now on, and those after
    `last_event_id` if one was given that can be read."""
    last = await server.db.lookup(event_queries.last_of_run, thread_id, run_id)
    newest = BEGINNING if last is None else last
    after = _position(last_event_id)
    return newest if after is None else min(after, newest)


def _position(last_event_id: str | None) -> int | None:
    """Where to resume; None for nowhere: no id was given, or none that can be read."""
    if last_event_id is None:
        return None
    if last_event_id in ("-1", "-"):
        return BEGINNING
    return parse_event_id(last_event_id)
