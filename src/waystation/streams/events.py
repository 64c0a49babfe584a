"""What travels on a thread's event log.

Every event has a *position*: an integer that strictly increases along its thread, made of the millisecond it was published
in and a counter. On the wire it is the SSE id ``<ms>-<counter>`` (spec 8.6); ordering, de-duplication and replay all use it.
"""

from __future__ import annotations

import re
import threading
import time

from msgspec import Struct

__all__ = [
    "BEGINNING",
    "PROTOCOL_ONLY",
    "Event",
    "Positions",
    "RunEnd",
    "event_id",
    "milliseconds_of",
    "parse_event_id",
    "parts_of",
    "position_at",
]

_COUNTER_BITS = 20
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_EVENT_ID = re.compile(r"(\d{1,13})(?:-(\d{1,7}|\*))?")

_LAST = 2**63 - 1
"""The largest position a database can hold."""

BEGINNING = -1
"""The position before every event."""

PROTOCOL_ONLY = "v2:"
"""What the names of events begin with that only the event streaming protocol knows (spec 13): other streams leave them out."""


class RunEnd(Struct, frozen=True):
    """The last word on a run, published once its final state is committed."""

    status: str
    """The run's final status, ``rollback`` for a run that was deleted, or ``pending`` for one that will be tried again."""
    result: bytes | None = None
    """What a waiting client gets: JSON, or None when the run produced nothing (spec 6.4)."""
    last: int | None = None
    """Position of the run's last resumable event, 0 without any; None when unknown. Whoever has not seen it missed something."""

    @property
    def final(self) -> bool:
        """Whether the run is over, and not only this attempt of it."""
        return self.status != "pending"


class Event(Struct, frozen=True):
    """One event of a thread."""

    position: int
    thread_id: str
    run_id: str | None
    name: str
    """The SSE event name, e.g. ``values`` or ``updates|sub:<task_id>``; empty for a `RunEnd`."""
    data: bytes
    """JSON."""
    resumable: bool = False
    """Whether the event is kept for replay, so that its id is shown to clients of the run stream."""
    end: RunEnd | None = None
    previous: int = 0
    """Of a resumable event: the position of the one before it of its run, 0 for the first. A consumer that has not seen that
    one missed something."""
    attempt: int = 0
    """The attempt of the run that made it; 0 when unknown. What an attempt says after a later one has begun is void."""


class Positions:
    """Hands out positions: strictly increasing within this process, and never behind the clock."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        now = int(time.time() * 1000) << _COUNTER_BITS
        with self._lock:
            self._last = max(self._last + 1, now)
            return self._last

    def advance_past(self, position: int) -> None:
        """Never hand out `position` or anything before it: a thread's log may be ahead of this machine's clock."""
        with self._lock:
            self._last = max(self._last, position)


def position_at(milliseconds: int) -> int:
    """The first position of a millisecond since the epoch."""
    return milliseconds << _COUNTER_BITS


def parts_of(position: int) -> tuple[int, int]:
    """The millisecond since the epoch and the counter that `position` is made of."""
    return position >> _COUNTER_BITS, position & _COUNTER_MASK


def milliseconds_of(position: int) -> int:
    """When the event at `position` was published, in milliseconds since the epoch."""
    return position >> _COUNTER_BITS


def event_id(position: int) -> str:
    """The SSE id of `position`."""
    return f"{position >> _COUNTER_BITS}-{position & _COUNTER_MASK}"


def parse_event_id(text: str) -> int | None:
    """The position that `text` names: ``<ms>-<counter>``; ``<ms>`` and ``<ms>-*`` name the last possible of that
    millisecond. None when it is none of these."""
    match = _EVENT_ID.fullmatch(text)
    if match is None:
        return None
    milliseconds, counter = int(match[1]), match[2]
    last = counter is None or counter == "*"
    position = (milliseconds << _COUNTER_BITS) | (_COUNTER_MASK if last else min(int(counter), _COUNTER_MASK))
    return min(position, _LAST)
