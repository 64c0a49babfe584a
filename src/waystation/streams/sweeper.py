"""The loop that forgets the events of runs that ended a while ago (``RESUMABLE_STREAM_TTL_SECONDS``), and the last words of those
that are gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from waystation.storage.database import Database
from waystation.storage.sweeping import sweep_regularly
from waystation.streams import last_words, queries
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["sweep_events", "sweep_events_regularly"]

INTERVAL_S = 30
BATCH = 5000
"""Events deleted in one transaction at most: other writers wait for it."""


async def sweep_events_regularly(db: Database, ttl_s: float) -> None:
    """Delete events of runs that were settled more than `ttl_s` seconds ago, until cancelled."""
    await sweep_regularly("events", INTERVAL_S, lambda: sweep_events(db, ttl_s))


async def sweep_events(db: Database, ttl_s: float) -> AsyncGenerator[int, None]:
    """Delete what is due, a batch at a time."""
    deleted = BATCH
    while deleted == BATCH:
        deleted = await db.write(queries.delete_settled_before, now_us() - int(ttl_s * MICROSECONDS), BATCH)
        yield deleted
    deleted = BATCH
    while deleted == BATCH and db.dialect != "sqlite":  # there nobody is in another process
        deleted = await db.write(last_words.forget, now_us(), BATCH)
        yield deleted
