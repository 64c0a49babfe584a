"""What a worker does every few seconds: renew its leases, take over runs of dead workers, and make up for signals that got lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from waystation.runs import lifecycle
from waystation.runs.leases import Leases, late_after_s
from waystation.runs.lifecycle import LeaseLost
from waystation.runs.slots import Slots
from waystation.storage.database import Database
from waystation.storage.stalled import end_stalled
from waystation.streams.bus import Bus
from waystation.timestamps import MICROSECONDS, now_us

if TYPE_CHECKING:
    from waystation.runs.worker import Worker

__all__ = ["SafetyNet", "Timing"]

log = structlog.get_logger("waystation.runs")

STALLED_S = 5
"""How long a process may leave a transaction alone before its connection to the database is closed: it holds locks."""

UNKNOWN_S = 1
"""How long after the moment in which its message would be late a run is taken up that is held without being executed: none is
executed twice because its message comes after all."""


class Timing(Struct, frozen=True):
    """How patient a worker is, in seconds."""

    lease_s: float = 30
    """How long a run belongs to a worker without a renewal. A dead worker's runs are taken over after this."""
    safety_net_s: float = 5
    """How often leases are renewed, expired ones taken over, and the queue looked at without a wake-up."""
    without_bus_s: float = 1
    """The same while no signal of another process can arrive."""
    abandon_s: float = 10
    """How long a cancelled run may take to stop before it is settled without it: a blocking node cannot be interrupted."""
    stop_s: float = 5
    """How long a run may take to stop when the process shuts down."""


class SafetyNet:
    """That of one worker, for the runs in its `slots`. For one event loop."""

    def __init__(
        self, worker: Worker, db: Database, bus: Bus, slots: Slots, leases: Leases, *, job_timeout_s: float
    ) -> None:
        self._worker = worker
        self._db = db
        self._bus = bus
        self._slots = slots
        self._leases = leases
        self._job_timeout_s = job_timeout_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over what a former process of this database left behind, and watch over the worker from now on."""
        self._leases.renewed(time.monotonic(), self._worker.timing.lease_s)
        await self._take_over(everything=True)
        await self._worker.fill_and_look_ahead()
        self._task = asyncio.create_task(self._watch_over(), name="waystation-safety-net")

    async def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch_over(self) -> None:
        while True:
            await self._pause()
            try:
                await self._renew()
                await self._take_over(everything=False)
                await self._catch_up()
                await self._abandon_stuck()
                await self._worker.fill_and_look_ahead()
            except Exception:
                log.exception("the safety net failed; it tries again", every_s=self._worker.timing.safety_net_s)

    async def _pause(self) -> None:
        """Until the safety net is due, which it is sooner while the bus is down."""
        until = time.monotonic() + self._worker.timing.safety_net_s
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._worker.timing.without_bus_s))
            if not self._bus.connected:
                return

    async def _renew(self) -> None:
        asked_at = time.monotonic()
        await self._db.write(lifecycle.renew, self._worker.claim(), [running.run.run_id for running in self._slots])
        if self._leases.renewed(asked_at, self._worker.timing.lease_s):
            await self._drop_lost()

    async def _drop_lost(self) -> None:
        """The process was stopped, or cut off from the database: stop executing what others have taken over meanwhile."""
        for running in self._slots:
            try:
                await self._db.write(lifecycle.guard, running.run)
            except LeaseLost:
                running.hand_back = True
                running.cancel()

    async def _take_over(self, *, everything: bool) -> None:
        """Requeue runs of dead workers; at start of the only process on a database that means all that are held."""
        if await self._db.lookup(end_stalled, STALLED_S):
            log.warning("closed the database connections of a process that does not go on")
        now = now_us()
        requeued, to_settle = await self._db.write(
            lifecycle.take_over_expired,
            self._worker.claim(),
            now,
            everything=everything and self._db.dialect == "sqlite",
        )
        if requeued:
            log.info("took over runs of a process that died", runs=len(requeued))
            self._bus.wake_workers()
        self._slots.stop([run.run_id for run in to_settle])
        for run in to_settle:
            self._worker.begin(run)

    async def _catch_up(self) -> None:
        """Do what signals were to bring about that did not arrive: stop cancelled runs, and take up those that were given to this
        worker. A run that could not be settled is tried again, too."""
        too_late_s = late_after_s(self._worker.timing.lease_s) + UNKNOWN_S
        long_ago = now_us() - int(too_late_s * MICROSECONDS)
        held = await self._db.read(lifecycle.holdings, self._worker.worker_id)
        self._slots.stop([row.run_id for row in held if row.stop_action is not None and row.run_id in self._slots])
        unknown = [row.run_id for row in held if row.run_id not in self._slots and row.updated_at <= long_ago]
        if unknown:
            await self._worker.take_up(unknown)

    async def _abandon_stuck(self) -> None:
        """Settle runs that were cancelled, or stopped at their time limit, and whose task goes on all the same. A new attempt
        number shuts the old task out of the database."""
        for running in self._slots:
            asked = running.stop_asked_at
            stop_at = asked if asked is not None else running.began_at + self._job_timeout_s
            if running.abandoned or time.monotonic() - stop_at < self._worker.timing.abandon_s:
                continue
            running.abandoned = True
            if running.events is not None:
                running.events.mute()
            log.warning("a run does not stop; settling it without its task", run_id=running.run.run_id)
            with contextlib.suppress(LeaseLost):
                run = await self._db.write(lifecycle.fence, running.run, self._worker.claim())
                self._slots.leave(running)
                if asked is not None:
                    self._slots.stop([run.run_id], asked)
                self._worker.begin(run, timed_out=asked is None)
