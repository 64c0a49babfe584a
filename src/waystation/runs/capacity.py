"""How many runs may be pending: a queue that grows without end helps nobody.

Counting the queue for each new run would cost more than creating it. So the count is an estimate: it is taken in the background
while runs are created, at most once a second, and what this process adds in between is put on top. Other processes add to
the queue unseen for that second. Before a run is refused the queue is counted again, because what was put on top may have been
taken up by a worker meanwhile.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from sqlalchemy import Connection, bindparam, func, literal, select

from waystation.errors import BadInput, Overloaded
from waystation.observability.figures import CapacityFigures
from waystation.storage.database import Database
from waystation.storage.tables import runs

__all__ = ["Capacity", "count_pending"]

log = structlog.get_logger("waystation.runs")

REFRESH_S = 1.0
"""Age from which an estimate is renewed while runs are created."""

COUNTING_SHARE = 0.1
"""Share of the time that may be spent on counting before refusals. Under overload there is much to refuse, and counting 100,000
runs takes 20 to 40 ms."""

NEVER = float("-inf")
"""When the queue was counted that has not been counted yet."""

_PENDING = select(func.count()).select_from(
    select(literal(1).label("one"))
    .where(runs.c.status == "pending", runs.c.settled_at.is_(None))
    .limit(bindparam("most"))
    .subquery()
)


def count_pending(conn: Connection, most: int) -> int:
    """How many runs are pending; it stops to count at `most`."""
    return conn.execute(_PENDING, {"most": most}).scalar_one()


class Capacity:
    """Whether another run may be pending. For one event loop.

    Whoever creates runs reserves room for them first, and then says what became of them::

        await capacity.reserve(count)  # Overloaded
        ...
        capacity.settle(count, pending=how_many_of_them_wait)
    """

    def __init__(
        self, db: Database, limit: int, *, refresh_s: float = REFRESH_S, counting_share: float = COUNTING_SHARE
    ) -> None:
        """`limit` is the number of runs that may be pending, 0 for any number."""
        self.limit = limit
        self._db = db
        self._refresh_s = refresh_s
        self._counting_share = counting_share
        self._counted = 0
        self._counted_at = NEVER
        self._rest_s = 0.0
        """Age below which a count is not repeated before a run is refused."""
        self._added = 0
        """Runs added by this process that the count may not include."""
        self._reserved = 0
        self._refused = 0
        self._full = False
        self._counting: asyncio.Task[None] | None = None

    async def reserve(self, count: int) -> None:
        """Reserve room for `count` runs. Raises Overloaded when there is none, BadInput when there can never be so much."""
        if self.limit == 0:
            return
        if count > self.limit:
            raise BadInput(f"{count} runs at once are more than may be pending on this server ({self.limit}).")
        age = time.monotonic() - self._counted_at
        if self._counted_at == NEVER or (age >= self._rest_s and not self._has_room(count)):
            await asyncio.shield(self._count())
        elif age >= self._refresh_s:
            self._count()
        if not self._has_room(count):
            self._refuse(count)
        self._full = False
        self._reserved += count

    def settle(self, count: int, *, pending: int) -> None:
        """Of `count` runs that room was reserved for, `pending` are in the queue now; the others started at once or were not
        created."""
        if self.limit == 0:
            return
        self._reserved -= count
        self._added += pending

    def figures(self) -> CapacityFigures:
        """The limit, and how often it was met."""
        return CapacityFigures(limit=self.limit, refused=self._refused)

    def _has_room(self, count: int) -> bool:
        return self._counted + self._added + self._reserved + count <= self.limit

    def _refuse(self, count: int) -> None:
        self._refused += count
        if not self._full:
            self._full = True
            log.warning("the queue is full: no runs are created", limit=self.limit)
        raise Overloaded(
            f"{self.limit} runs are pending, which is the most that this server lets wait; no run was created. "
            "Try again when some of them have started."
        )

    def _count(self) -> asyncio.Task[None]:
        """Start to count, or join a count that has started."""
        if self._counting is None:
            self._counting = asyncio.create_task(self._recount(), name="waystation-capacity")
        return self._counting

    async def _recount(self) -> None:
        before, began = self._added, time.monotonic()
        try:
            self._counted = await self._db.read(count_pending, self.limit)
            self._added -= before  # the count includes these, and perhaps some that were added since
        except Exception as error:  # noqa: BLE001 - the old estimate serves on; whoever creates a run will hear of it
            log.warning("could not count the pending runs", error=str(error) or type(error).__name__)
        finally:
            self._counted_at = time.monotonic()
            self._rest_s = (self._counted_at - began) * (1 / self._counting_share - 1)
            self._counting = None
