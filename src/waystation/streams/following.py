"""Following a thread or a run: what a subscription brings, made whole with what the database says.

The bus may lose anything. Resumable events are stored, chained, and read again wherever the chain has a gap, so that a
consumer gets each of them once and in order. The end of a run that did not arrive is found in the database.
Of what is not stored a gap can only be told of.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from msgspec import Struct

from waystation.storage.database import Database
from waystation.streams import last_words, queries
from waystation.streams.bus import Bus, Subscription
from waystation.streams.events import Event, RunEnd
from waystation.streams.looks import Looks
from waystation.streams.stored import stored_events

__all__ = ["Follower"]

OUTAGE_LOOK_S = 1
"""How often the database is looked at while other processes cannot be heard."""

LATE_S = 0.3
"""How long the last events of a run that is over may still be on their way from another process."""

LATE_AFTER_OUTAGE_S = 3
"""The same while that process may be waiting to be connected again."""

REMEMBERED_RUNS = 64
"""Runs of a thread whose attempts and ends are kept in mind."""


class _Followed(Struct):
    """What is known of a run."""

    attempt: int = 0
    position: int = 0
    """Of its newest event."""
    failed: bool = False
    """Whether it was heard to have."""
    ended: bool = False


class Follower:
    """The events of an open subscription, for one consumer: of one run, or of all runs of a thread.

    `after` is the position after which resumable events are wanted. `stored` says whether there can be any: those of a run that
    is not resumable are as the bus brings them."""

    def __init__(
        self, db: Database, bus: Bus, subscription: Subscription, heartbeat_s: float, *, after: int, stored: bool
    ) -> None:
        self._db = db
        self._bus = bus
        self._subscription = subscription
        self._heartbeat_s = heartbeat_s
        self._seen = after
        self._stored = stored
        self._looks = Looks(bus, heartbeat_s, OUTAGE_LOOK_S)
        self._runs: OrderedDict[str, _Followed] = OrderedDict()
        if subscription.run_id is not None:
            self._runs[subscription.run_id] = _Followed()
        self.interrupted = False
        """Whether live events may have been lost since the beginning."""

    @property
    def seen(self) -> int:
        """The position up to which all resumable events have been given."""
        return self._seen

    def expect(self, run_id: str) -> None:
        """Watch for the end of a run whose beginning was replayed."""
        self._run(run_id)

    async def replay(self) -> AsyncGenerator[list[Event], None]:
        """The stored events so far."""
        async with aclosing(self._read()) as pages:
            async for page in pages:
                self._seen = page[-1].position
                yield page

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Live events as they arrive, the final end of a run among them (as an event with `end`). An empty batch says that
        the consumer should hear something: there was nothing for a heartbeat, or `interrupted` has been set. It stops when
        the subscription is over."""
        beat = time.monotonic() + self._heartbeat_s
        while True:
            before = self.interrupted
            batch = await self._subscription.batch(max(0.0, min(self._looks.pause(), beat - time.monotonic())))
            if batch:
                pieces = self._whole(batch)
            elif self._subscription.over:
                return
            else:
                pieces = self._look()
            async with aclosing(pieces):
                async for events in pieces:
                    if before is not self.interrupted:
                        before = self.interrupted
                        yield []
                    if events:
                        beat = time.monotonic() + self._heartbeat_s
                        yield events
            if time.monotonic() >= beat or before is not self.interrupted:
                beat = time.monotonic() + self._heartbeat_s
                yield []

    # --- what the bus brings

    async def _whole(self, batch: Iterable[Event]) -> AsyncGenerator[list[Event], None]:
        """`batch` without what is void, and with what is missing."""
        whole: list[Event] = []
        for event in batch:
            if not self._valid(event):
                continue
            if self._missed_before(event):
                yield whole
                whole = []
                # In a thread, what comes later comes by itself, and with events of runs that are not stored before it.
                async for page in self._repair(None if self._subscription.run_id else event.position):
                    yield page
            if event.run_id is not None and event.end is None:
                whole += self._ends_before(event.run_id)
            if self._take(event):
                whole.append(event)
        self._looks.looked()
        yield whole

    def _valid(self, event: Event) -> bool:
        """Whether the event counts: a run says nothing after its end, and an attempt nothing after a later one has begun."""
        if event.end is not None and not event.end.final:
            return False
        if event.run_id is None:
            return True
        run = self._runs.get(event.run_id)
        return run is None or (not run.ended and (event.attempt == 0 or event.attempt >= run.attempt))

    def _missed_before(self, event: Event) -> bool:
        """Whether stored events come before this one that have not been seen."""
        if not self._stored:
            return False
        seen = max(self._seen, 0)
        if event.end is not None:
            of_stored = event.resumable or event.attempt == 0  # who cancels a run in the queue does not know
            return of_stored and (event.end.last is None or event.end.last > seen)
        if event.resumable and event.previous > seen:
            return True
        return event.run_id is not None and event.run_id not in self._runs and bool(self._open())

    def _take(self, event: Event) -> bool:
        """Note the event; whether it is new."""
        if event.resumable and event.end is None:
            if event.position <= self._seen:
                return False
            self._seen = event.position
        if event.run_id is not None:
            run = self._run(event.run_id)
            run.attempt = max(run.attempt, event.attempt)
            run.position = max(run.position, event.position)
            run.failed = run.failed or event.name == "error"
            run.ended = run.ended or event.end is not None
        return True

    # --- what the database says

    async def _look(self) -> AsyncGenerator[list[Event], None]:
        """Nothing came: whatever should have, and the ends of runs that are over."""
        doubted = self._subscription.doubted()
        if doubted or not self._bus.connected:
            self.interrupted = True
        elif self._looks.pause() > 0:
            return
        runs = self._open()
        over = await self._db.lookup(queries.over, runs) if runs else {}
        if self._stored:
            async for page in self._repair():
                yield page
        for run_id, status in over.items():
            async for events in self._end(run_id, status):
                yield events
        self._looks.looked()

    async def _repair(self, before: int | None = None) -> AsyncGenerator[list[Event], None]:
        """The stored events that have not been seen, or those of them before a position."""
        async with aclosing(self._read()) as pages:
            async for page in pages:
                whole: list[Event] = []
                for event in page:
                    if before is not None and event.position >= before:
                        yield whole
                        return
                    if event.run_id is not None:
                        whole += self._ends_before(event.run_id)
                    if self._take(event):
                        whole.append(event)
                yield whole

    def _read(self) -> AsyncGenerator[list[Event], None]:
        return stored_events(self._db, self._subscription.thread_id, self._subscription.run_id, self._seen)

    async def _end(self, run_id: str, status: str | None) -> AsyncGenerator[list[Event], None]:
        """The end of a run that is over, after what may still be on its way."""
        run = self._run(run_id)
        until = time.monotonic() + self._late_s(status)
        while not run.ended:
            batch = await self._subscription.batch(max(0.0, until - time.monotonic()))
            if batch:
                async for events in self._whole(batch):
                    yield events
            elif self._subscription.over:
                return
            elif time.monotonic() >= until:
                if not self._stored and self._bus.address is not None:
                    self.interrupted = True
                told = await self._made_up_error(run_id) if status == "error" and not run.failed else []
                yield [*told, self._made_up_end(run_id, status)]
            elif self._subscription.doubted():
                self.interrupted = True

    def _late_s(self, status: str | None) -> float:
        """How long to wait for the end of a run that is over. If its events are stored there is nothing to wait for."""
        if self._bus.address is None or (self._stored and status is not None):
            return 0
        return LATE_S if self._bus.connected else LATE_AFTER_OUTAGE_S

    def _ends_before(self, run_id: str) -> list[Event]:
        """Runs that must be over because this one has begun: a thread has one running run at most."""
        if run_id in self._runs:
            return []
        return [self._made_up_end(former, None) for former in self._open()]

    async def _made_up_error(self, run_id: str) -> list[Event]:
        """What a run that is gone together with its thread has failed with. Of any other, the thread tells."""
        left = await self._db.lookup(last_words.find, run_id)
        if left is None or left.error is None:
            return []
        run = self._run(run_id)
        run.position += 1
        return [Event(run.position, self._subscription.thread_id, run_id, "error", left.error, attempt=run.attempt)]

    def _made_up_end(self, run_id: str, status: str | None) -> Event:
        """The end of a run as its worker would have told it, in the place after its last event."""
        run = self._run(run_id)
        run.ended = True
        position = run.position + 1
        return Event(position, self._subscription.thread_id, run_id, "", b"", end=RunEnd(status or "rollback"))

    # --- the runs

    def _open(self) -> list[str]:
        return [run_id for run_id, run in self._runs.items() if not run.ended]

    def _run(self, run_id: str) -> _Followed:
        run = self._runs.get(run_id)
        if run is None:
            run = self._runs[run_id] = _Followed()
            if len(self._runs) > REMEMBERED_RUNS:
                self._runs.popitem(last=False)
        return run
