"""Finding out that a key was revoked while something of its caller's is still going on.

Every process looks for itself, once for all that goes on there, and only while something does. So a revocation reaches all of
them without a signal that could get lost.
"""

from __future__ import annotations

import asyncio

import structlog

from waystation.auth import key_queries
from waystation.storage.database import Database

__all__ = ["Revocations"]

log = structlog.get_logger("waystation.auth")

LOOK_S = 1.0
"""How often to look."""

AT_ONCE = 500
"""Keys named in one statement."""


class Revocations:
    """Tells those who wait of the end of their key. For one event loop."""

    def __init__(self, db: Database, look_s: float = LOOK_S) -> None:
        self._db = db
        self._look_s = look_s
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, key_id: str) -> None:
        """Return once the key is revoked, which it may be already."""
        revoked = asyncio.Event()
        self._waiting.setdefault(key_id, set()).add(revoked)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="waystation-revocations")
        try:
            await revoked.wait()
        finally:
            self._waiting[key_id].remove(revoked)
            if not self._waiting[key_id]:
                del self._waiting[key_id]
            if not self._waiting and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            try:
                await self._tell()
            except Exception:  # while the database is away nobody learns of anything; the next look may
                log.warning("could not look for revoked API keys", exc_info=True)

    async def _tell(self) -> None:
        key_ids = list(self._waiting)
        for start in range(0, len(key_ids), AT_ONCE):
            part = key_ids[start : start + AT_ONCE]
            for key_id in set(part) - await self._db.read(key_queries.valid, part):
                for revoked in self._waiting.get(key_id, ()):
                    revoked.set()
