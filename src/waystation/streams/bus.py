"""The bus: live events to whoever listens, wake-ups and stop signals to whoever executes runs.

It carries nothing that the database does not know or cannot do without: losing it costs latency, never data. `MemoryBus` stays
within one process, `waystation.streams.redis_bus.RedisBus` connects many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from waystation.streams.events import Event
from waystation.streams.offers import Offers
from waystation.streams.subscriptions import EndWaiter, Listening, Subscription

__all__ = ["BACKLOG_BYTES", "Bus", "EndWaiter", "Executor", "MemoryBus", "Subscription"]

T = TypeVar("T")


class Executor(Protocol):
    """Who executes runs in a process, as the bus sees it. Called on the event loop that the bus was started on, `free` on any thread."""

    jobs: int
    """How many runs can be executed at a time."""

    def wake(self) -> None:
        """The queue may hold a run."""
        ...

    def free(self) -> int:
        """How many more runs could be executed that the queue has no run for."""
        ...

    def take_on(self, runs: Sequence[bytes]) -> None:
        """Another process has created these runs for this one (`waystation.runs.handover`)."""
        ...


BACKLOG_BYTES = 64 * 1024 * 1024
"""Undelivered bytes a subscriber may pile up before it is cut off: a slow client must not fill the memory."""


class Bus(Protocol):
    """Publish and subscribe. Usable from every thread; what waits belongs to the event loop it was made on."""

    backlog_bytes: int
    """Undelivered bytes a subscriber may pile up."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        ...

    @property
    def address(self) -> str | None:
        """What other processes know this one by; None when there are no others."""
        ...

    @property
    def connected(self) -> bool:
        """Whether other processes can be heard. While they cannot, the database says what there is to know."""
        ...

    @property
    def lag_s(self) -> float | None:
        """Seconds that the newest message of another process was on its way; None where there has been none."""
        ...

    @property
    def offers(self) -> Offers:
        """Free slots for runs in other processes."""
        ...

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        ...

    @property
    def waiting(self) -> int:
        """How many wait for a run to end, or follow the events of one."""
        ...

    async def start(self, executor: Executor | None, on_stop: Callable[[Sequence[str]], None]) -> None:
        """Listen to other processes. `executor` is who executes runs in this one (None: nobody does); `on_stop` is called on this
        loop with the runs that must not be executed any longer."""
        ...

    def close(self) -> None:
        """Let every subscription and every waiter end: the process is going away. It may still publish."""
        ...

    async def stop(self) -> None:
        """Send what is left, and take leave of other processes."""
        ...

    def subscribe(self, thread_id: str, run_id: str | None = None) -> Subscription:
        """A subscription to a thread's events, or to those of one of its runs. It receives from ``with`` on; events of runs
        that other processes execute, once it was announced."""
        ...

    def wait_for_end(self, run_id: str) -> EndWaiter:
        """Somebody who only wants to know how a run ends. It is told from ``with`` on; of a run that another process
        executes, once it was announced."""
        ...

    def publish(self, events: Iterable[Event]) -> None:
        """Deliver `events` to all who listen to their threads or runs. Never blocks."""
        ...

    def proclaim(self, event: Event) -> None:
        """Deliver one event to all who listen, also in processes that are not known to: that somebody follows a run is known
        to whoever executes it, but perhaps to nobody else. Never blocks."""
        ...

    def listened(self, thread_id: str, run_id: str | None = None) -> bool:
        """Whether anybody would receive an event of the thread and run: if not, live-only events need not be encoded."""
        ...

    def listener(self, *, end_only: bool = False) -> str | None:
        """`Order.listener` of a run that this process creates in order to follow its events, or only to await its end."""
        ...

    def expect(self, run_id: str, listener: str | None) -> None:
        """Somebody in another process listens to this run without having announced it: its `listener`."""
        ...

    def heard_elsewhere(self, thread_id: str, run_id: str, listener: str | None) -> bool:
        """Whether another process listens to this run of this thread, or waits for its end, as far as is known: the run's
        `listener`, or one that has announced it."""
        ...

    def wake_workers(self, due_us: int = 0) -> None:
        """Tell the workers of other processes that the queue holds a run for them, at once or from `due_us` (microseconds
        since the epoch) on."""
        ...

    def hand_over(self, address: str, run: bytes) -> None:
        """Tell the process of one of the `offers` of a run that it was given."""
        ...

    def retire(self) -> None:
        """This process takes no more runs: nobody need wake it."""
        ...

    def stop_runs(self, run_ids: Sequence[str]) -> None:
        """Tell the workers of other processes to stop executing these runs."""
        ...


class MemoryBus:
    """A `Bus` within this process."""

    address: str | None = None
    connected = True
    lag_s = None

    def __init__(self, backlog_bytes: int = BACKLOG_BYTES) -> None:
        self.backlog_bytes = backlog_bytes
        self.offers = Offers()
        self._by_thread: dict[str, tuple[Subscription, ...]] = {}
        self._waiters: dict[str, tuple[EndWaiter, ...]] = {}
        self._lock = threading.Lock()
        self.closed = False

    async def start(self, executor: Executor | None, on_stop: Callable[[Sequence[str]], None]) -> None:
        """There is nobody else to listen to."""

    async def stop(self) -> None:
        """There is nobody else to take leave of."""

    def close(self) -> None:
        self.closed = True
        for listening in self._everybody():
            listening.close()

    def doubt(self) -> None:
        """Let all who listen look in the database: something may have been lost."""
        for listening in self._everybody():
            listening.doubt()

    def subscribe(self, thread_id: str, run_id: str | None = None) -> Subscription:
        return Subscription(self, thread_id, run_id)

    def wait_for_end(self, run_id: str) -> EndWaiter:
        return EndWaiter(self, run_id)

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            for subscription in self._by_thread.get(event.thread_id, ()):
                if subscription.run_id is None or subscription.run_id == event.run_id:
                    subscription.offer(event)
            if event.end is not None and event.run_id is not None and event.end.final:
                for waiter in self._waiters.get(event.run_id, ()):
                    waiter.tell(event.end)

    def proclaim(self, event: Event) -> None:
        self.publish([event])

    def listened(self, thread_id: str, run_id: str | None = None) -> bool:
        return thread_id in self._by_thread

    def listener(self, *, end_only: bool = False) -> str | None:
        return None

    def expect(self, run_id: str, listener: str | None) -> None:
        """There is nobody else."""

    def heard_elsewhere(self, thread_id: str, run_id: str, listener: str | None) -> bool:
        return False

    def wake_workers(self, due_us: int = 0) -> None:
        """There are no others."""

    def hand_over(self, address: str, run: bytes) -> None:
        """There are no others."""

    def retire(self) -> None:
        """There is nobody who would wake it."""

    def stop_runs(self, run_ids: Sequence[str]) -> None:
        """There are no others."""

    @property
    def subscribers(self) -> int:
        return sum(len(subscriptions) for subscriptions in list(self._by_thread.values()))

    @property
    def waiting(self) -> int:
        following = [each for group in list(self._by_thread.values()) for each in group if each.run_id is not None]
        return len(following) + sum(len(waiters) for waiters in list(self._waiters.values()))

    def enter(self, listening: Listening) -> None:
        with self._lock:
            if isinstance(listening, EndWaiter):
                _append(self._waiters, listening.run_id, listening)
            else:
                _append(self._by_thread, listening.thread_id, listening)

    def leave(self, listening: Listening) -> None:
        with self._lock:
            if isinstance(listening, EndWaiter):
                _discard(self._waiters, listening.run_id, listening)
            else:
                _discard(self._by_thread, listening.thread_id, listening)

    async def announce(self, listening: Listening) -> None:
        """There is nobody to tell."""

    def _everybody(self) -> list[Listening]:
        with self._lock:
            subscriptions = [each for group in self._by_thread.values() for each in group]
            waiters = [each for group in self._waiters.values() for each in group]
        return [*subscriptions, *waiters]


def _append(index: dict[str, tuple[T, ...]], key: str, item: T) -> None:
    index[key] = (*index.get(key, ()), item)


def _discard(index: dict[str, tuple[T, ...]], key: str, item: T) -> None:
    left = tuple(other for other in index.get(key, ()) if other is not item)
    if left:
        index[key] = left
    else:
        index.pop(key, None)
