"""The loop that frees the space of expired store items."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from waystation.errors import WaystationError
from waystation.store.store import Store

__all__ = ["sweep_regularly"]

log = structlog.get_logger("waystation.store")

DEFAULT_INTERVAL_MINUTES = 60
"""Without ``store.ttl.sweep_interval_minutes``. Expired items are invisible before, so this only bounds the disk space."""


async def sweep_regularly(store: Store) -> None:
    """Sweep `store` until cancelled. A sweep that fails is logged; the next one may succeed."""
    config = store.ttl_config or {}
    interval_s = (config.get("sweep_interval_minutes") or DEFAULT_INTERVAL_MINUTES) * 60
    while True:
        await asyncio.sleep(interval_s)
        try:
            swept = await store.sweep()
        except (WaystationError, SQLAlchemyError) as error:
            log.warning("could not sweep the store", error=str(error))
        else:
            if swept:
                log.info("swept expired store items", items=swept)
