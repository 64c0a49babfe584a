"""What processes send each other over Redis, and how it looks in bytes.

A *parcel* goes to the inbox of one process: events, runs to execute, perhaps a wake-up. A *notice* goes to all.
"""

from __future__ import annotations

from collections.abc import Sequence

import ormsgpack
from msgspec import Struct

from waystation.streams.events import Event, RunEnd

__all__ = ["FORMAT", "Notice", "Parcel", "Unreadable"]

FORMAT = 2
"""Part of every key, so that processes of different versions do not hear each other: they meet in the database."""


class Unreadable(Exception):
    """Something else than a parcel or a notice."""


class Parcel(Struct, frozen=True):
    """Events for one process."""

    sender: str
    number: int
    """Increases with every parcel of this sender, so that one that was sent twice counts once."""
    previous: int
    """The number of the parcel that the sender sent to the same inbox before, 0 when it does not remember: so that one that was
    lost is noticed."""
    events: Sequence[Event]
    wake: int | None = None
    """When there is something in the queue for the receiver: 0 for now, or microseconds since the epoch."""
    runs: Sequence[bytes] = ()
    """Runs that the sender has given to the receiver (`waystation.runs.handover`)."""
    free: int | None = None
    """As in `Notice`."""

    def encode(self) -> bytes:
        """As bytes."""
        events = [_event_fields(event) for event in self.events]
        return ormsgpack.packb(
            (self.sender, self.number, self.previous, events, self.wake, tuple(self.runs), self.free)
        )

    @staticmethod
    def decode(payload: bytes) -> Parcel:
        """From bytes. Raises Unreadable."""
        try:
            sender, number, previous, events, wake, runs, free = ormsgpack.unpackb(payload)
            return Parcel(sender, number, previous, [_event(*fields) for fields in events], wake, runs, free)
        except (ValueError, TypeError) as error:
            raise Unreadable(str(error)) from error


class Notice(Struct, frozen=True):
    """Something for every process."""

    sender: str
    free: int | None = None
    """Slots for runs that the sender has and the queue has no use for; None when it executes none and need not be woken."""
    jobs: int = 0
    """Slots that it has altogether."""
    hello: bool = False
    """The sender is new, or has lost what it knew: tell it who listens to what."""
    bye: bool = False
    """The sender goes away."""
    listen: Sequence[str] = ()
    """Topics that the sender listens to."""
    unlisten: Sequence[str] = ()
    stop: Sequence[str] = ()
    """Runs that must not be executed any longer."""
    events: Sequence[Event] = ()
    """Events for whoever listens to them."""
    wake: int | None = None
    """As in `Parcel`."""

    def encode(self) -> bytes:
        """As bytes."""
        return ormsgpack.packb(
            (
                self.sender,
                self.free,
                self.jobs,
                self.hello,
                self.bye,
                tuple(self.listen),
                tuple(self.unlisten),
                tuple(self.stop),
                [_event_fields(event) for event in self.events],
                self.wake,
            )
        )

    @staticmethod
    def decode(payload: bytes) -> Notice:
        """From bytes. Raises Unreadable."""
        try:
            sender, free, jobs, hello, bye, listen, unlisten, stop, events, wake = ormsgpack.unpackb(payload)
            told = [_event(*fields) for fields in events]
            return Notice(sender, free, jobs, hello, bye, listen, unlisten, stop, told, wake)
        except (ValueError, TypeError) as error:
            raise Unreadable(str(error)) from error


def _event_fields(event: Event) -> tuple[object, ...]:
    end = event.end
    return (
        event.position,
        event.thread_id,
        event.run_id,
        event.name,
        event.data,
        event.resumable,
        (end.status, end.result, end.last) if end is not None else None,
        event.previous,
        event.attempt,
    )


def _event(
    position: int,
    thread_id: str,
    run_id: str | None,
    name: str,
    data: bytes,
    resumable: bool,
    end: tuple[str, bytes | None, int | None] | None,
    previous: int,
    attempt: int,
) -> Event:
    ended = RunEnd(*end) if end is not None else None
    return Event(position, thread_id, run_id, name, data, resumable, ended, previous, attempt)
