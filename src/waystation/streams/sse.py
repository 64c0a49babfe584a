"""Server-sent events as the reference frames them (spec 8.1): CRLF, one data line, the id last."""

from __future__ import annotations

from waystation.encoding import encode
from waystation.streams.events import Event, event_id

__all__ = ["HEADERS", "HEARTBEAT", "HEARTBEAT_LF", "INTERRUPTED", "frame", "raw_frame", "slow_consumer"]

HEARTBEAT = b": heartbeat\r\n\r\n"

HEARTBEAT_LF = b": heartbeat\n\n"
"""For streams of protocols whose events are framed with bare newlines."""

INTERRUPTED = b": live events are interrupted\r\n\r\n"
"""What is published while the bus is down may never arrive, and for a run that is not resumable nothing can make up for it."""

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}


def frame(event: Event, *, with_id: bool) -> bytes:
    """`event` as bytes for the wire."""
    if with_id:
        return b"event: %b\r\ndata: %b\r\nid: %b\r\n\r\n" % (
            event.name.encode(),
            event.data,
            event_id(event.position).encode(),
        )
    return b"event: %b\r\ndata: %b\r\n\r\n" % (event.name.encode(), event.data)


def raw_frame(name: str, data: bytes) -> bytes:
    """An event that is not part of any log, e.g. the error of a stream that cannot begin."""
    return b"event: %b\r\ndata: %b\r\n\r\n" % (name.encode(), data)


def slow_consumer() -> bytes:
    """The last word to a client that reads too slowly."""
    message = "Events arrived faster than they were read; reconnect to go on."
    return raw_frame("error", encode({"error": "SlowConsumer", "message": message}))
