"""Who listens to a bus within this process: subscriptions to events, and waiters for the end of a run."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Protocol

from waystation.futures import until_done
from waystation.streams.events import Event, RunEnd

__all__ = ["END", "EndWaiter", "Hub", "Listening", "Subscription", "end_topic"]


END = "!"
"""What the topic of those who only want to know how a run ends has behind the run's id. The other topics are the plain ids of
threads and runs."""


def end_topic(run_id: str) -> str:
    """The topic of the end of a run."""
    return run_id + END


class Hub(Protocol):
    """What a listener needs of its bus."""

    backlog_bytes: int

    @property
    def closed(self) -> bool: ...

    def enter(self, listening: Listening) -> None:
        """Deliver to `listening` from now on."""
        ...

    def leave(self, listening: Listening) -> None:
        """Deliver nothing more to `listening`."""
        ...

    async def announce(self, listening: Listening) -> None:
        """See `Subscription.announce`."""
        ...


class Subscription:
    """Events of one thread, in order, for one consumer on one event loop. Use as a context manager."""

    def __init__(self, hub: Hub, thread_id: str, run_id: str | None) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._events: deque[Event] = deque()
        self._given = 0
        self._taken = 0
        self._woken = False
        self._interrupted = False
        self._doubtful = False
        self.thread_id = thread_id
        self.run_id = run_id
        self.topic = run_id or thread_id
        self.ended = False
        """Whether the run that this is about has ended: nobody has to be told that it is no longer listened to."""
        self.overflowed = False
        """True once this consumer was so slow that events were dropped; it gets no more."""

    def __enter__(self) -> Subscription:
        self._hub.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.leave(self)

    async def announce(self) -> None:
        """Tell other processes that their events are wanted here. Needless for a run that was created with this process as
        its `Order.listener`: whoever executes it knows."""
        await self._hub.announce(self)

    async def batch(self, timeout_s: float) -> list[Event]:
        """All events that have arrived, at least one; or none when `timeout_s` passes first, when it is over, or when
        something may have been lost meanwhile (`doubted`)."""
        if not self._events and not self.over and not self._interrupted:
            try:
                async with asyncio.timeout(timeout_s):
                    while not self._events and not self.over and not self._interrupted:
                        self._woken = False
                        self._ready.clear()
                        if not self._events and not self._interrupted:
                            await self._ready.wait()
            except TimeoutError:
                return []
        self._interrupted = False
        events = []
        while self._events:
            event = self._events.popleft()
            self._taken += len(event.data)
            events.append(event)
        return events

    @property
    def over(self) -> bool:
        """Whether nothing more will arrive: this consumer was too slow, or the process is going away."""
        return self.overflowed or self._hub.closed

    def doubted(self) -> bool:
        """Whether events may have been lost since this was last asked."""
        doubtful, self._doubtful = self._doubtful, False
        return doubtful

    def close(self) -> None:
        """Let `batch` see that it is over. From any thread."""
        self._wake()

    def doubt(self) -> None:
        """Let `batch` return: events may have been lost. From any thread."""
        self._doubtful = self._interrupted = True
        self._wake()

    def offer(self, event: Event) -> None:
        """Deliver an event. From any thread, by one publisher of the thread at a time."""
        if self.overflowed:
            return
        self._given += len(event.data)
        if self._given - self._taken > self._hub.backlog_bytes and event.end is None:
            self.overflowed = True
        else:
            self._events.append(event)
            if event.end is not None and event.end.final and event.run_id == self.run_id:
                self.ended = True
        if not self._woken:
            self._woken = True
            self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the consumer's loop is closed: nobody will read this
            self.overflowed = True


class EndWaiter:
    """Waits for the end of one run, without looking at its events. Use as a context manager."""

    def __init__(self, hub: Hub, run_id: str) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[RunEnd | None] = self._loop.create_future()
        self.run_id = run_id
        self.topic = end_topic(run_id)
        self.ended = False
        """Whether it was told that the run has ended."""

    def __enter__(self) -> EndWaiter:
        self._hub.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.leave(self)

    async def announce(self) -> None:
        """See `Subscription.announce`."""
        await self._hub.announce(self)

    async def end(self, timeout_s: float) -> RunEnd | None:
        """How the run ended, with its result; or None when `timeout_s` passes first, or when it is time to look in the database:
        the end may have been lost, or was told without a result."""
        future = self._future
        return future.result() if await until_done(future, timeout_s) else None

    def tell(self, end: RunEnd) -> None:
        """This is how the run ended. From any thread. One who knows the result may come after one who does not: a worker that
        finds the run gone, because another one has finished it."""
        self.ended = True
        self._soon(end if end.result is not None else None)

    def close(self) -> None:
        """Let `end` return for good: the process is going away. From any thread."""
        self._soon(RunEnd("pending"))

    def doubt(self) -> None:
        """Let `end` return once without an answer: it may have been lost. From any thread."""
        self._soon(None)

    def _soon(self, end: RunEnd | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._resolve, end)

    def _resolve(self, end: RunEnd | None) -> None:
        if self._future.done():
            return
        future = self._future
        if end is None:
            self._future = self._loop.create_future()
        future.set_result(end)


Listening = Subscription | EndWaiter
