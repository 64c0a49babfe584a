"""The loop that forgets the events of runs that ended a while ago (``RESUMABLE_STREAM_TTL_SECONDS``)."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from waystation.errors import WaystationError
from waystation.storage.database import Database
from waystation.streams import queries
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["sweep_events_regularly"]

log = structlog.get_logger("waystation.streams")

INTERVAL_S = 30
BATCH = 5000
"""Events deleted in one transaction at most: other writers wait for it."""


async def sweep_events_regularly(db: Database, ttl_s: float) -> None:
    """Delete events of runs that were settled more than `ttl_s` seconds ago, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            deleted = BATCH
            while deleted == BATCH:
                deleted = await db.write(queries.delete_settled_before, now_us() - int(ttl_s * MICROSECONDS), BATCH)
        except (WaystationError, SQLAlchemyError) as error:
            log.warning("could not sweep events", error=str(error))
