"""`Store`: LangGraph's `BaseStore` on the database, for graphs (``runtime.store``, ``get_store()``) and for the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.store.base import BaseStore, Op, Result

from waystation.auth.access import EVERYTHING, Access
from waystation.storage.database import Database
from waystation.storage.sweeping import Sweep, sweep_once
from waystation.store import queries
from waystation.store.batch import Batch
from waystation.store.namespaces import root_of
from waystation.store.semantic.index import Index
from waystation.timestamps import now_us

__all__ = ["Store"]

SWEEP_LIMIT = 1000
"""Expired items deleted by one transaction."""


class Store(BaseStore):
    """A batch is one transaction: with puts a write, otherwise a read. Usable from any thread and event loop. (One that searches
    by meaning and puts is a read and then a write: what it reads cannot change what it puts.)

    Texts are embedded before that, outside of any transaction; an item and its vectors are stored by the same one.

    Reading an item that has a time to live starts that time anew (unless the operation says otherwise), which is a short
    write after the read. Expired items are invisible at once.

    The synchronous methods wait for the database's own threads, never for an event loop. So an asynchronous node may call
    them too: that holds up its loop for the length of the transaction, but cannot deadlock.
    """

    supports_ttl = True

    def __init__(
        self,
        db: Database,
        ttl: Mapping[str, Any] | None = None,
        access: Access = EVERYTHING,
        index: Index | None = None,
        *,
        area: str = "",
    ) -> None:
        """`ttl` is ``store.ttl`` of ``langgraph.json`` (spec 19, 21), already checked. Without an `index` the query of a search
        is ignored. An `area` is a store apart, for the server's own use (`waystation.store.namespaces`)."""
        self._db = db
        self._index = index
        self._access = access
        self._area = area
        self._root = root_of(access.home, area)
        settings = ttl or {}
        self.ttl_config = {
            "refresh_on_read": settings.get("refresh_on_read", True),
            "omit_expired": True,
            "default_ttl": settings.get("default_ttl"),
            "sweep_interval_minutes": settings.get("sweep_interval_minutes"),
        }

    def seen_by(self, access: Access) -> Store:
        """The same store as `access` may see it."""
        return Store(self._db, self.ttl_config, access, self._index, area=self._area)

    def within(self, workspace: str) -> Store:
        """The same store as everybody in `workspace` may see it: what graphs get that run there."""
        return self if workspace == self._access.home else self.seen_by(Access(workspace=workspace))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        batch = Batch(ops, self._root, self._index)
        if self._index is not None and (batch.documents or batch.questions):
            batch.embedded = self._index.embed_blocking(batch.documents, batch.questions)
        now = now_us()
        if batch.writes and not batch.questions:
            return self._db.write_blocking(batch.run, now, self._access).results
        results, prolonged = self._db.read_blocking(batch.read, now, self._access)
        if batch.writes:
            self._db.write_blocking(batch.write, now, self._access, prolonged)
        elif prolonged:
            self._db.write_blocking(queries.touch_items, prolonged, now)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        batch = Batch(ops, self._root, self._index)
        if self._index is not None and (batch.documents or batch.questions):
            batch.embedded = await self._index.embed(batch.documents, batch.questions)
        now = now_us()
        if batch.writes and not batch.questions:
            return (await self._db.write(batch.run, now, self._access)).results
        results, prolonged = await self._db.read(batch.read, now, self._access)
        if batch.writes:
            await self._db.write(batch.write, now, self._access, prolonged)
        elif prolonged:
            await self._db.write(queries.touch_items, prolonged, now)
        return results

    async def sweep(self, limit: int = SWEEP_LIMIT) -> int:
        """Free the space of expired items; returns how many there were."""
        return await sweep_once(self.expired(limit))

    async def expired(self, limit: int = SWEEP_LIMIT) -> Sweep:
        """The sweep of expired items, `limit` in a transaction."""
        count = limit
        while count >= limit:
            count = await self._db.write(queries.sweep, now_us(), limit)
            yield count
