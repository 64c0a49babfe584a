"""The sweep of expired store items, which frees their space: to everyone who asks they are gone before."""

from __future__ import annotations

from waystation.storage.sweeping import sweep_regularly as regularly
from waystation.store.store import Store

__all__ = ["sweep_regularly"]

DEFAULT_INTERVAL_MINUTES = 60
"""Without ``store.ttl.sweep_interval_minutes``. Expired items are invisible before, so this only bounds the disk space."""


async def sweep_regularly(store: Store) -> None:
    """Sweep `store` until cancelled."""
    config = store.ttl_config or {}
    interval_s = (config.get("sweep_interval_minutes") or DEFAULT_INTERVAL_MINUTES) * 60
    await regularly("store items", interval_s, store.expired)
