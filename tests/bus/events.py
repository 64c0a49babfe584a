"""Events as the tests of the bus publish and expect them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.driver import eventually
from waystation.streams.bus import Subscription
from waystation.streams.events import Event, RunEnd

__all__ = ["RUN", "THREAD", "end", "event", "positions", "received", "until"]

THREAD, RUN = "thread", "run"


def event(position: int, size: int = 1, *, run: str = RUN, thread: str = THREAD) -> Event:
    return Event(position, thread, run, "custom", b"x" * size, attempt=1)


def end(position: int, *, run: str = RUN, thread: str = THREAD, result: bytes | None = b"{}") -> Event:
    return Event(position, thread, run, "", b"", end=RunEnd("success", result), attempt=1)


def positions(events: list[Event]) -> list[int]:
    return [each.position for each in events]


async def received(subscription: Subscription, count: int) -> list[Event]:
    """The next `count` events."""
    events: list[Event] = []
    async with asyncio.timeout(15):
        while len(events) < count:
            events += await subscription.batch(1)
    return events


async def until(look: Callable[[], object], what: str) -> None:
    """Wait until `look()` is true."""

    async def looked() -> bool:
        return bool(look())

    await eventually(looked, what)
