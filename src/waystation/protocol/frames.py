"""A frame: one event of the protocol as it goes to clients (spec 13.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from waystation.encoding import encode
from waystation.streams.events import milliseconds_of, parts_of

__all__ = ["LAST_PART", "Frame", "Namespace", "make_frame", "saying", "seq_of", "sse"]

Namespace = tuple[str, ...]

EPOCH_MS = 1_735_689_600_000
"""The beginning of 2025: where sequence numbers begin."""

COUNTER_BITS, PART_BITS = 8, 6

LAST_PART = (1 << PART_BITS) - 1
"""The part of a frame that comes after everything that its run has said."""


class Frame(Struct, frozen=True):
    """One event, encoded once for all who get it."""

    seq: int
    channel: str
    """What subscriptions select it by: ``values``, ``input``, ``custom:<name>`` …"""
    method: str
    namespace: Namespace
    envelope: bytes
    """JSON."""
    starts_run: bool = False
    """Whether it is the first of a run: who may see the thread may have changed before."""


def seq_of(position: int, part: int) -> int:
    """The sequence number of a frame: it grows along the thread, depends on nothing but the place of the frame's source in the
    thread's log, and fits the integers of JavaScript until 2042. Every process therefore gives a frame the same number, also when
    older events are gone.

    A clock that stands still makes positions whose counter is beyond its bits; they carry over into the milliseconds, which the
    clock has passed by the time it goes on: no process makes 256 events in each of them."""
    milliseconds, counter = parts_of(position)
    return ((milliseconds - EPOCH_MS << COUNTER_BITS) + counter << PART_BITS) + min(max(part, 0), LAST_PART)


def saying(data: Any, node: str | None = None) -> bytes:
    """What an event says, as JSON: its ``data``, and the ``node`` it comes from."""
    return encode({"data": data} if node is None else {"data": data, "node": node})


def make_frame(
    event_id: str,
    position: int,
    part: int,
    channel: str,
    method: str,
    namespace: Namespace,
    said: bytes,
    *,
    starts_run: bool = False,
) -> Frame:
    """The frame of an event at a `position` of the log; `part` is its place among those that come from there. `said` is what
    `saying` makes of it."""
    seq = seq_of(position, part)
    envelope = b'{"type":"event","event_id":%b,"seq":%d,"method":%b,"params":{"namespace":%b,"timestamp":%d,%b}' % (
        encode(event_id),
        seq,
        encode(method),
        encode(namespace),
        milliseconds_of(position),
        said[1:],  # its end is that of ``params``
    )
    return Frame(seq, channel, method, namespace, envelope, starts_run)


def sse(frames: Sequence[Frame]) -> bytes:
    """The frames as server-sent events, with the sequence number as id."""
    return b"".join(
        b"event: %b\r\ndata: %b\r\nid: %d\r\n\r\n" % (frame.method.encode(), frame.envelope, frame.seq)
        for frame in frames
    )
