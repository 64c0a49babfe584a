"""The worker: takes runs from the queue, and executes them on runner loops.

Nothing polls on the hot path: creating a run offers it to this worker inside the same transaction, in this process or in another
one (`waystation.runs.handover`), and settling one looks for the next. A slow safety net (`waystation.runs.safety_net`) renews
leases, takes over runs of dead workers and makes up for signals that got lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from uuid_utils import uuid4

from waystation.config import Config
from waystation.observability.figures import WorkerFigures
from waystation.observability.metrics import Metrics
from waystation.runs import lifecycle
from waystation.runs.alarm import Alarm, while_open
from waystation.runs.attempts import Attempts
from waystation.runs.handover import read_note
from waystation.runs.leases import Leases, is_late
from waystation.runs.lifecycle import Claim, Claimed, LeaseLost
from waystation.runs.loops import RunnerLoops
from waystation.runs.safety_net import SafetyNet, Timing
from waystation.runs.slots import Running, Slots
from waystation.storage.database import Database
from waystation.streams.bus import Bus
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["Timing", "Worker"]

log = structlog.get_logger("waystation.runs")

MIN_NODE_THREADS = 16
"""Threads for synchronous nodes of one loop at least; otherwise one for each run that may be executing."""

CLAIM_AT_ONCE = 4
"""Runs claimed in one transaction by a worker that is not alone: it leaves some to others that were woken as well."""


class Worker:
    """Executes runs in this process, `jobs` at a time. All methods may be called from any thread. `attempts` has the same `slots` and
    `leases`."""

    def __init__(
        self,
        config: Config,
        db: Database,
        bus: Bus,
        metrics: Metrics,
        attempts: Attempts,
        slots: Slots,
        leases: Leases,
    ) -> None:
        self.worker_id = bus.address or str(uuid4())
        self.jobs = slots.jobs
        self.timing = Timing()
        """May be replaced before `start`."""
        self._db = db
        self._bus = bus
        self._metrics = metrics
        self._attempts = attempts
        self._slots = slots
        self._loops = RunnerLoops(threads=max(MIN_NODE_THREADS, slots.jobs))
        self._safety_net = SafetyNet(self, db, bus, slots, leases, job_timeout_s=config.job_timeout_s)
        self._alarm = Alarm(self.fill, self.fill_and_look_ahead)
        self._beside: set[asyncio.Task[None]] = set()

    # --- life

    async def start(self) -> None:
        """Take over what a former process of this database left behind, and begin to work."""
        self._alarm.start()
        await self._safety_net.start()

    def stop_claiming(self) -> None:
        """Take no more runs; they wait for the next process."""
        self._slots.closed = True
        self._bus.retire()

    async def close(self, grace_s: float) -> None:
        """Stop claiming, give runs `grace_s` seconds to finish, and hand the rest back to the queue."""
        self.stop_claiming()
        await self._safety_net.stop()
        self._alarm.stop()
        await self._drained(grace_s)
        for running in self._slots:
            running.hand_back = True
            running.cancel()
        await self._drained(self.timing.stop_s)
        for running in self._slots:
            log.warning("a run does not stop; handing it back all the same", run_id=running.run.run_id)
            with contextlib.suppress(LeaseLost):
                await self._db.write(lifecycle.requeue, running.run, now_us())
                self._bus.wake_workers()
        await asyncio.to_thread(self._loops.close)
        await asyncio.gather(*self._beside)
        if self._bus.address is not None:
            await _logged(self._let_go_of_unknown())

    async def _let_go_of_unknown(self) -> None:
        """Pass on what was given to this worker as it was about to stop."""
        held = await self._db.read(lifecycle.holdings, self.worker_id)
        if held:
            await self._let_go([row.run_id for row in held])

    async def _drained(self, within_s: float) -> None:
        """Wait until nothing runs, or `within_s` seconds have passed."""
        until = time.monotonic() + within_s
        while len(self._slots) and time.monotonic() < until:  # noqa: ASYNC110 - runs end on other threads
            await asyncio.sleep(0.01)

    def figures(self) -> WorkerFigures:
        """How many runs this worker executes, and could."""
        active = len(self._slots)
        return WorkerFigures(max=self.jobs, active=active, available=max(0, self.jobs - active))

    # --- taking runs that are being created

    def reserve(self) -> Claim | None:
        """Offer a free slot to a run that is being created; pass it on to `accept` or `release`. None when there is none."""
        return self.claim() if self._slots.reserve() else None

    def release(self, claim: Claim) -> None:
        """Give back a slot that the run did not need, reserved with this claim."""
        self._slots.release()

    def accept(self, run: Claimed) -> None:
        """Execute a run that was claimed with a reserved slot."""
        if run.attempt == 1:
            self._metrics.wait_s.observe(max(0, now_us() - run.created_at) / MICROSECONDS)
        self._execute(self._slots.occupy(run))

    def begin(self, run: Claimed, *, timed_out: bool = False) -> None:
        """Execute a run that is held and has to be settled, whether or not there is a slot for it. `timed_out`: it has not stopped at
        its time limit."""
        self._execute(self._slots.occupy(run, reserved=False, timed_out=timed_out))

    # --- taking runs that other processes have created for this one

    def free(self) -> int:
        """Slots that the queue has no run for, as far as is known."""
        return 0 if self._slots.queue_may_have_more else self._slots.free

    def take_on(self, runs: Sequence[bytes]) -> None:
        """Another process has created these runs as this worker's (`waystation.runs.handover`). On the loop of `start`."""
        unseen: list[str] = []
        for payload in runs:
            try:
                note = read_note(payload, self.worker_id)
            except (ValueError, TypeError):
                log.warning("cannot read which run was handed over; the safety net will find it")
                continue
            if note.run_id in self._slots:
                continue
            if note.run is None or is_late(note.until, now_us(), self.timing.lease_s):
                unseen.append(note.run_id)
            elif self._slots.reserve():
                self.accept(note.run)
            else:
                self._spawn(self._let_go([note.run_id]))
        if unseen:
            self._spawn(self.take_up(unseen))

    async def take_up(self, run_ids: Sequence[str]) -> None:
        """Execute runs that are held without being executed, as far as there are slots."""
        room = self._slots.reserve(len(run_ids))
        taken: list[Claimed] = []
        try:
            taken, stopped = await self._db.write(lifecycle.take_up, self.claim(), run_ids[:room])
        finally:
            self._slots.release(room - len(taken))
        self._slots.stop(stopped)
        for run in taken:
            self.accept(run)
        if run_ids[room:]:
            await self._let_go(run_ids[room:])

    async def _let_go(self, run_ids: Sequence[str]) -> None:
        """Pass on what is held without being executed."""
        if await self._db.write(lifecycle.let_go, self.worker_id, run_ids, now_us()):
            self.wake()
            self._bus.wake_workers()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside all else. What fails is left to the safety net."""
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    # --- taking runs from the queue

    async def fill(self) -> None:
        """Claim due runs until there are no more, or no free slots."""
        while await self._claim_some():
            pass

    async def _claim_some(self) -> bool:
        """Claim as many due runs as there are free slots, or, to share them with other workers, some of that. True when there
        may be more that fit."""
        free = self._slots.free
        limit, news = self._slots.begin_claim(None if self._bus.address is None else CLAIM_AT_ONCE)
        if not limit:
            return False
        claimed: list[Claimed] = []
        try:
            claimed = await self._db.write(lifecycle.claim, self.claim(), limit, now_us())
        except BaseException:
            self._slots.release(limit)
            raise
        self._slots.end_claim(limit, len(claimed), news)
        for run in claimed:
            self.accept(run)
        return len(claimed) == limit < free

    async def fill_and_look_ahead(self) -> None:
        """Claim what is due, and set the timer for what is due next."""
        before = now_us()
        await self.fill()
        due = await self._db.read(lifecycle.next_due_at, before)  # what fell due meanwhile has not been claimed
        if due is not None:
            self._alarm.ring_at(due)

    def wake(self) -> None:
        """There may be a run to claim. Called after a commit that put one into the queue, by this process or another."""
        self._slots.expect_more()
        self._alarm.ring()

    def wake_at(self, due_us: int) -> None:
        """There will be a run to claim at `due_us` (microseconds since the epoch)."""
        self._alarm.ring_at(due_us)

    # --- executing

    def stop(self, run_ids: Sequence[str]) -> list[str]:
        """These runs were cancelled: stop executing them. Called after the commit that cancelled them. Returns those that are not
        executed here."""
        return self._slots.stop(run_ids)

    def claim(self) -> Claim:
        """What this worker holds runs with from now on."""
        return Claim(self.worker_id, now_us() + int(self.timing.lease_s * MICROSECONDS))

    def _execute(self, running: Running) -> None:
        self._loops.start(running.run.run_id, partial(self._work, running))

    async def _work(self, running: Running) -> None:
        """One attempt of a run, and what follows for the queue. On a runner loop."""
        await self._attempts.carry_out(running)
        if self._slots.queue_may_have_more and not self._slots.closed:
            await while_open(self.fill)
        if running.left_more and self._slots.queue_may_have_more:
            self._bus.wake_workers()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("could not deal with runs that were handed over; the safety net will")
