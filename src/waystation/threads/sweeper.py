"""The sweep of threads whose time to live is over (spec 21)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from waystation.config import Config
from waystation.storage import checkpoints
from waystation.storage.database import Database
from waystation.storage.sweeping import Sweep, sweep_regularly
from waystation.threads.expiry import sweep_some
from waystation.threads.removal import PART
from waystation.timestamps import now_us

__all__ = ["SweepSettings", "sweep_expired_threads", "sweep_threads_regularly"]


class SweepSettings(Struct, frozen=True):
    """How often expired threads are looked for, and how many one sweep deals with."""

    interval_minutes: float = 5
    limit: int = 1000

    @classmethod
    def of(cls, config: Config) -> SweepSettings:
        """What ``checkpointer.ttl`` says. Threads that brought a time to live expire without it, too."""
        setting: Any = config.checkpointer.get("ttl")
        given = setting if isinstance(setting, Mapping) else {}
        return cls(
            given.get("sweep_interval_minutes") or cls().interval_minutes, given.get("sweep_limit") or cls().limit
        )


async def sweep_threads_regularly(db: Database, config: Config) -> None:
    """Sweep expired threads as `config` says, until cancelled."""
    settings = SweepSettings.of(config)
    await sweep_regularly("threads", settings.interval_minutes * 60, lambda: sweep_expired_threads(db, settings.limit))


async def sweep_expired_threads(db: Database, limit: int) -> Sweep:
    """Carry out the strategies of `limit` expired threads at most; yields how many after each transaction.

    First what a killed process, or a client that did not wait, has left of deleted threads is deleted.
    """
    for key in await db.read(checkpoints.find_set_aside):
        async for _ in _deleting(db, key):
            yield 0
    before, left = now_us(), limit
    unfinished: tuple[str, checkpoints.Place] | None = None
    more = True
    while more and left > 0:
        done = await db.write(sweep_some, before, now_us(), left, unfinished)
        count = len(done.deleted) + len(done.pruned)
        more, left, unfinished = done.more, left - count, done.unfinished
        yield count
        for key in done.set_aside:
            async for _ in _deleting(db, key):
                yield 0


async def _deleting(db: Database, key: int) -> Sweep:
    """Delete checkpoints that are set aside."""
    while await db.write(checkpoints.delete_set_aside, key, PART):
        yield 0
