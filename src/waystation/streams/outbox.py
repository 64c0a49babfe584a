"""What waits to be sent to other processes: a queue with room for a limited number of bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from waystation.streams.events import Event
from waystation.streams.parcels import Notice, Parcel

__all__ = ["Letter", "Outbox"]

OVERHEAD_BYTES = 300
"""What an event takes beside its data, roughly."""

PARCEL_BYTES = 256 * 1024
"""Events are put into one parcel up to this."""

TAKE_BYTES = 2 * 1024 * 1024
"""Taken at a time: bounds what one exchange with Redis carries, a single larger event aside."""

END_BYTES = 1024 * 1024
"""Room beyond the limit for the ends of runs, without their results."""

SIGNALS = 10_000
"""Signals of one kind that wait at most. More can only pile up in an outage, and the database tells of them as well."""


class Letter(Struct, frozen=True):
    """Bytes for the inbox of a process, or, with None, for all."""

    inbox: str | None
    payload: bytes


class _Box(Struct):
    """What waits for one process."""

    events: deque[Event] = field(default_factory=deque)
    runs: deque[bytes] = field(default_factory=deque)
    wake: int | None = None

    def __bool__(self) -> bool:
        return bool(self.events or self.runs or self.wake is not None)


class Outbox:
    """The outgoing letters of the process `sender`. Usable from every thread; `ready` is called, on any of them, when there is
    something to take."""

    def __init__(self, sender: str, limit_bytes: int, ready: Callable[[], None]) -> None:
        self._sender = sender
        self._limit = limit_bytes
        self._ready = ready
        self._lock = threading.Lock()
        self._bytes = 0
        self._boxes: dict[str, _Box] = {}
        self._sent: dict[str, int] = {}
        self._number = 0
        self._signals = _Signals()
        self.free: Callable[[], int] | None = None
        """Asked for `offered`, which everything that is sent tells."""
        self.jobs = 0
        """How many it could execute altogether."""
        self.dropped = 0
        """Events that found no room."""

    def post(self, event: Event, inboxes: Iterable[str]) -> None:
        """Queue an event for some processes. Without room it is dropped; of a run's end at least the news is kept."""
        with self._lock:
            for inbox in inboxes:
                self._post(event, inbox)
        self._ready()

    def hand_over(self, inbox: str, run: bytes) -> None:
        """Queue a run for a process that is to execute it. Without room it is dropped: the process will find the run by itself."""
        with self._lock:
            if self._bytes + len(run) > self._limit:
                return
            self._bytes += len(run)
            self._boxes.setdefault(inbox, _Box()).runs.append(run)
        self._ready()

    def wake(self, inbox: str | None, due_us: int) -> None:
        """Queue a wake-up for a process, or for all: 0 for now, or a time."""
        with self._lock:
            if inbox is None:
                self._signals.wake = _sooner(self._signals.wake, due_us)
            else:
                box = self._boxes.setdefault(inbox, _Box())
                box.wake = _sooner(box.wake, due_us)
        self._ready()

    def proclaim(self, event: Event) -> None:
        """Queue an event for all, known to listen or not."""
        with self._lock:
            if len(self._signals.events) < SIGNALS:
                self._signals.events.append(event)
        self._ready()

    def stop(self, run_ids: Sequence[str]) -> None:
        """Queue a stop signal for all."""
        with self._lock:
            _note(self._signals.stop, run_ids)
        self._ready()

    def listen(self, topics: Iterable[str]) -> None:
        """Queue the news, for all, that this process listens to `topics`; with none, that it is there."""
        with self._lock:
            self._signals.present = True
            for topic in topics:
                self._signals.unlisten.pop(topic, None)
                self._signals.listen[topic] = None
        self._ready()

    def unlisten(self, topic: str) -> None:
        """Queue the news, for all, that this process no longer listens to `topic`."""
        with self._lock:
            self._signals.listen.pop(topic, None)
            _note(self._signals.unlisten, [topic])
        self._ready()

    def forget(self, inbox: str) -> None:
        """Drop what waits for a process that is gone."""
        with self._lock:
            self._sent.pop(inbox, None)
            box = self._boxes.pop(inbox, None)
            if box is not None:
                self._bytes -= sum(map(_size, box.events)) + sum(map(len, box.runs))

    def __bool__(self) -> bool:
        """Whether there is something to take."""
        return bool(self._boxes) or bool(self._signals)

    def take(self) -> list[Letter]:
        """Remove what has waited longest, in the order in which it has to arrive."""
        parcels: list[tuple[str, Parcel]] = []
        with self._lock:
            signals, self._signals = self._signals, _Signals()
            room = TAKE_BYTES
            for inbox in list(self._boxes):
                box = self._boxes.pop(inbox)
                while room > 0 and box:
                    parcel, size = self._parcel(inbox, box)
                    self._bytes -= size
                    room -= size
                    parcels.append((inbox, parcel))
                if box:
                    self._boxes[inbox] = box  # behind the others
        notices = [Letter(None, signals.notice(self._sender, self.offered(), self.jobs).encode())] if signals else []
        return notices + [Letter(inbox, parcel.encode()) for inbox, parcel in parcels]

    def _post(self, event: Event, inbox: str) -> None:
        if event.end is not None and self._bytes + _size(event) > self._limit:
            event = replace(event, end=replace(event.end, result=None))
        limit = self._limit if event.end is None else self._limit + END_BYTES
        if self._bytes + _size(event) > limit:
            self.dropped += 1
            self._sent[inbox] = self._next_number()  # a number that will never arrive: the receiver notices
            return
        self._bytes += _size(event)
        self._boxes.setdefault(inbox, _Box()).events.append(event)

    def _parcel(self, inbox: str, box: _Box) -> tuple[Parcel, int]:
        events: list[Event] = []
        size = 0
        while box.events and (not events or size + _size(box.events[0]) <= PARCEL_BYTES):
            size += _size(box.events[0])
            events.append(box.events.popleft())
        runs = list(box.runs)
        box.runs.clear()
        size += sum(map(len, runs))
        wake, box.wake = box.wake, None
        previous, number = self._sent.get(inbox, 0), self._next_number()
        self._sent[inbox] = number
        return Parcel(self._sender, number, previous, events, wake, runs, self.offered()), size

    def offered(self) -> int | None:
        """How many more runs this process could execute; None when it executes none."""
        free = self.free  # which another thread may take away
        return None if free is None else free()

    def _next_number(self) -> int:
        self._number += 1
        return self._number


class _Signals(Struct):
    """What waits for all processes. Each kind is a set in order."""

    present: bool = False
    listen: dict[str, None] = field(default_factory=dict)
    unlisten: dict[str, None] = field(default_factory=dict)
    stop: dict[str, None] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    wake: int | None = None

    def __bool__(self) -> bool:
        return bool(self.present or self.unlisten or self.stop or self.events or self.wake is not None)

    def notice(self, sender: str, free: int | None, jobs: int) -> Notice:
        return Notice(
            sender,
            free,
            jobs,
            listen=list(self.listen),
            unlisten=list(self.unlisten),
            stop=list(self.stop),
            events=self.events,
            wake=self.wake,
        )


def _size(event: Event) -> int:
    result = event.end.result if event.end is not None else None
    return OVERHEAD_BYTES + len(event.data) + len(result or b"")


def _sooner(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _note(kind: dict[str, None], items: Iterable[str]) -> None:
    for item in items:
        if len(kind) < SIGNALS:
            kind[item] = None
