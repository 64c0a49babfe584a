"""The sweep of deliveries that were over long ago."""

from __future__ import annotations

from waystation.storage.database import Database
from waystation.storage.sweeping import Sweep, sweep_regularly
from waystation.timestamps import MICROSECONDS, now_us
from waystation.webhooks import outbox

__all__ = ["sweep_deliveries", "sweep_deliveries_regularly"]

AT_ONCE = 500
INTERVAL_S = 3600
DAY_US = 86400 * MICROSECONDS


async def sweep_deliveries_regularly(db: Database, log_days: float) -> None:
    """Forget deliveries that have been over for `log_days`, until cancelled."""
    await sweep_regularly("webhooks", INTERVAL_S, lambda: sweep_deliveries(db, log_days))


async def sweep_deliveries(db: Database, log_days: float) -> Sweep:
    """Forget them once; yields how many after each transaction."""
    before = now_us() - int(log_days * DAY_US)
    while removed := await db.write(outbox.remove_finished, before, AT_ONCE):
        yield removed
