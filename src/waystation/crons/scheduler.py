"""The scheduler: fires crons when they are due.

Every process may have one, and each slot fires once all the same: whoever fires a cron locks its row, and creates the run and
moves the cron on to its next slot in one transaction. A scheduler sleeps until the next slot of any cron. It is woken when this
process creates or changes one; what other processes do it finds when it looks at last after `interval_s`.

Of the slots that went by while no scheduler ran, a cron fires one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row
from starlette.exceptions import HTTPException

from waystation.auth.owner import restored
from waystation.crons import queries
from waystation.crons.content import next_run_date, order_of
from waystation.errors import Unavailable, WaystationError
from waystation.observability.tallies import Tally
from waystation.runs.engine import Engine
from waystation.runs.order import Order
from waystation.runs.permission import runs_allowed
from waystation.storage.database import Database
from waystation.storage.sealing import CONTEXT_KEY, under
from waystation.threads.ttl import Ttl
from waystation.timestamps import MICROSECONDS, now_us
from waystation.wakeful import WakefulLoop, rest_until

if TYPE_CHECKING:
    from waystation.auth.handlers import Handlers

__all__ = ["Scheduler"]

log = structlog.get_logger("waystation.crons")

AT_ONCE = 50
"""Crons fired side by side; their transactions share commits."""

GRACE_S = 60
"""How late a slot before the end of its cron may fire after the end: schedulers are late by moments. Later than this it was
missed."""

ANSWER_S = 30
"""How long the project's handlers may take for one cron; the others wait for it."""

Due = Row[*tuple[Any, ...]]


class Scheduler:
    """Fires the crons of a database. For one event loop."""

    def __init__(
        self,
        db: Database,
        engine: Engine,
        graphs: Container[str],
        handlers: Handlers | None,
        interval_s: float,
        default_ttl: Ttl | None,
        tally: Tally,
        *,
        send_webhooks: bool = True,
    ) -> None:
        """`handlers` are asked about each run, as if the cron's owner created it; `default_ttl` is for the threads that runs
        make; `tally` counts what became of slots; without `send_webhooks` runs have none."""
        self._db = db
        self._engine = engine
        self._graphs = graphs
        self._handlers = handlers
        self._interval_s = interval_s
        self._default_ttl = default_ttl
        self._tally = tally
        self._send_webhooks = send_webhooks
        self._loop = WakefulLoop("scheduler", self._look, interval_s)

    def start(self) -> None:
        """Begin to fire."""
        self._loop.start()

    async def stop(self) -> None:
        """Fire no more; what is being fired is finished."""
        await self._loop.stop()

    def wake(self) -> None:
        """A cron was created or changed."""
        self._loop.wake()

    async def _look(self) -> float:
        """Fire what is due; returns the seconds until more is. While the queue has no room, slots stay due."""
        await self.fire_due()
        now = now_us()
        slot = await self._db.read(queries.next_due_at)
        if slot is None:
            return self._interval_s
        return rest_until(slot, now)

    async def fire_due(self) -> None:
        """Fire every cron that is due. Raises Overloaded when the queue has no room for a run."""
        while True:
            crons = await self._db.read(queries.due, now_us(), AT_ONCE)
            fired = await asyncio.gather(*map(self._fire, crons), return_exceptions=True)
            for result in fired:
                if isinstance(result, BaseException):
                    raise result
            if len(crons) < AT_ONCE or not any(fired):
                return

    async def _fire(self, due: Due) -> bool:
        """Fire one cron; False when another scheduler is about to. One that fails has lost its slot: the others go on."""
        try:
            row = await self._db.lookup(queries.find_due, due.cron_id, due.next_run_date)
            if row is None:
                return False
            with under(row["owner"].get(CONTEXT_KEY)):
                fired = await self._fire_as_owner(row)
            if fired:
                self._tally.add("fired")
            return fired
        except Unavailable:  # Overloaded is one
            raise
        except WaystationError as error:
            log.warning("a cron could not fire", cron_id=due.cron_id, error=error.message)
        except HTTPException as error:
            log.warning("a cron's owner may not create its run", cron_id=due.cron_id, error=error.detail)
        except Exception:  # of one cron, and not a reason to keep the others waiting
            log.exception("a cron could not fire", cron_id=due.cron_id)
        self._tally.add("failed")
        await self._db.write(_pass_over, due)
        return True

    async def _fire_as_owner(self, row: Mapping[str, Any]) -> bool:
        """`_fire` a cron whose row was read a moment ago: handlers may take their time, and nothing is locked meanwhile."""
        owner = restored(row["owner"], row["user_id"], row["workspace"], self._handlers)
        order = order_of(row, self._default_ttl, send_webhook=self._send_webhooks)
        async with asyncio.timeout(ANSWER_S):
            access, [order] = await runs_allowed(owner, self._db, self._graphs, [order])
        draw = partial(_draw, row=row, order=order)
        return await self._engine.create_drawn(access, row["thread_id"], draw) is not None


def _draw(conn: Connection, row: Mapping[str, Any], order: Order) -> Order | None:
    """Take the cron, and have it go on to its next slot. Returns `order`, its run; None when the cron is not any more what `row`
    says, so that this may not be its run, or its end has come."""
    now = now_us()
    if queries.take(conn, row["cron_id"], row["next_run_date"]) != row:
        return None
    queries.move_on(conn, row["cron_id"], row["next_run_date"], next_run_date(row, now))
    if row["end_time"] is not None and now > row["end_time"] + GRACE_S * MICROSECONDS:
        return None
    return order


def _pass_over(conn: Connection, due: Due) -> None:
    """Leave out a slot that cannot be fired. A cron that has no further one, whatever the reason, rests until it is changed."""
    now = now_us()
    row = queries.take(conn, due.cron_id, due.next_run_date)
    if row is None:
        return
    try:
        following = next_run_date(row, now)
    except (WaystationError, ValueError):
        following = None
    queries.move_on(conn, due.cron_id, due.next_run_date, following)
