"""Time as the server keeps and shows it.

Stored: integer microseconds since the Unix epoch (exact, ordered, the same on every database).
On the wire: ISO 8601 in UTC with microseconds and ``+00:00`` (spec 1.1).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["MICROSECONDS", "iso", "now_us", "parse_iso"]

MICROSECONDS = 1_000_000
"""Microseconds in a second."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """The time now, in microseconds since the epoch."""
    return time.time_ns() // 1000


def iso(us: int) -> str:
    """`us` microseconds since the epoch as e.g. ``2026-01-31T08:00:00.000000+00:00``."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")


def parse_iso(text: str) -> int:
    """The inverse of `iso`; takes any ISO 8601 form, without offset meaning UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
