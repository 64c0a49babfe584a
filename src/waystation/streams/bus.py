"""The bus of one process: live events to whoever listens, by thread.

It carries nothing that the database does not know or cannot do without: losing it costs latency, never data.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from typing import TypeVar

from waystation.streams.events import Event, RunEnd

__all__ = ["EndWaiter", "MemoryBus", "Subscription"]

T = TypeVar("T")

BACKLOG_BYTES = 64 * 1024 * 1024
"""Undelivered bytes a subscriber may pile up before it is cut off: a slow client must not fill the memory."""


class Subscription:
    """Events of one thread, in order, for one consumer on one event loop. Use as a context manager."""

    def __init__(self, bus: MemoryBus, thread_id: str, run_id: str | None) -> None:
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._events: deque[Event] = deque()
        self._given = 0
        self._taken = 0
        self._woken = False
        self.thread_id = thread_id
        self.run_id = run_id
        self.overflowed = False
        """True once this consumer was so slow that events were dropped; it gets no more."""

    def __enter__(self) -> Subscription:
        self._bus._add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._bus._remove(self)

    async def batch(self, timeout_s: float) -> list[Event]:
        """All events that have arrived, at least one; or none when `timeout_s` passes first or when it is over."""
        if not self._events and not self.over:
            try:
                async with asyncio.timeout(timeout_s):
                    while not self._events and not self.over:
                        self._woken = False
                        self._ready.clear()
                        if not self._events:
                            await self._ready.wait()
            except TimeoutError:
                return []
        events = []
        while self._events:
            event = self._events.popleft()
            self._taken += len(event.data)
            events.append(event)
        return events

    @property
    def over(self) -> bool:
        """Whether nothing more will arrive: this consumer was too slow, or the process is going away."""
        return self.overflowed or self._bus.closed

    def _close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ready.set)

    def _offer(self, event: Event) -> None:
        """Called from any thread, by one publisher of the thread at a time."""
        if self.overflowed:
            return
        self._given += len(event.data)
        if self._given - self._taken > self._bus.backlog_bytes and event.end is None:
            self.overflowed = True
        else:
            self._events.append(event)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:  # the consumer's loop is closed: nobody will read this
                self.overflowed = True


class EndWaiter:
    """Waits for the end of one run, without looking at its events. Use as a context manager."""

    def __init__(self, bus: MemoryBus, run_id: str) -> None:
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[RunEnd] = self._loop.create_future()
        self.run_id = run_id

    def __enter__(self) -> EndWaiter:
        self._bus._add_waiter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._bus._remove_waiter(self)

    async def end(self, timeout_s: float) -> RunEnd | None:
        """How the run ended, or None when `timeout_s` passes first."""
        done, _ = await asyncio.wait((self._future,), timeout=timeout_s)
        return self._future.result() if done else None

    def _tell(self, end: RunEnd) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._resolve, end)

    def _resolve(self, end: RunEnd) -> None:
        if not self._future.done():
            self._future.set_result(end)


class MemoryBus:
    """Publish and subscribe within this process, from any thread."""

    def __init__(self, backlog_bytes: int = BACKLOG_BYTES) -> None:
        self.backlog_bytes = backlog_bytes
        self._by_thread: dict[str, tuple[Subscription, ...]] = {}
        self._waiters: dict[str, tuple[EndWaiter, ...]] = {}
        self._lock = threading.Lock()
        self.closed = False

    def close(self) -> None:
        """Let every subscription and every waiter end: the process is going away."""
        self.closed = True
        with self._lock:
            subscriptions = [each for group in self._by_thread.values() for each in group]
            waiters = [each for group in self._waiters.values() for each in group]
        for subscription in subscriptions:
            subscription._close()
        for waiter in waiters:
            waiter._tell(RunEnd("pending"))

    def subscribe(self, thread_id: str, run_id: str | None = None) -> Subscription:
        """A subscription to a thread's events, or to those of one of its runs. It receives from ``with`` on."""
        return Subscription(self, thread_id, run_id)

    def wait_for_end(self, run_id: str) -> EndWaiter:
        """Somebody who only wants to know how a run ends. It is told from ``with`` on."""
        return EndWaiter(self, run_id)

    def publish(self, events: Iterable[Event]) -> None:
        """Deliver `events` to the subscribers of their threads."""
        for event in events:
            for subscription in self._by_thread.get(event.thread_id, ()):
                if subscription.run_id is None or subscription.run_id == event.run_id:
                    subscription._offer(event)
            if event.end is not None and event.run_id is not None and event.end.status != "pending":
                for waiter in self._waiters.get(event.run_id, ()):
                    waiter._tell(event.end)

    def listened(self, thread_id: str) -> bool:
        """Whether anybody would receive an event of the thread: if not, live-only events need not be encoded."""
        return thread_id in self._by_thread

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return sum(len(subscriptions) for subscriptions in list(self._by_thread.values()))

    def _add(self, subscription: Subscription) -> None:
        with self._lock:
            _append(self._by_thread, subscription.thread_id, subscription)

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            _discard(self._by_thread, subscription.thread_id, subscription)

    def _add_waiter(self, waiter: EndWaiter) -> None:
        with self._lock:
            _append(self._waiters, waiter.run_id, waiter)

    def _remove_waiter(self, waiter: EndWaiter) -> None:
        with self._lock:
            _discard(self._waiters, waiter.run_id, waiter)


def _append(index: dict[str, tuple[T, ...]], key: str, item: T) -> None:
    index[key] = (*index.get(key, ()), item)


def _discard(index: dict[str, tuple[T, ...]], key: str, item: T) -> None:
    left = tuple(other for other in index.get(key, ()) if other is not item)
    if left:
        index[key] = left
    else:
        index.pop(key, None)
