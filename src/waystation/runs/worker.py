"""The worker: takes runs from the queue, executes them on runner loops, and settles them.

Nothing polls on the hot path: creating a run offers it to this worker inside the same transaction, in this process or in another
one (`waystation.runs.handover`), and settling one looks for the next. A slow safety net renews leases, takes over runs of dead workers
and catches signals that got lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import structlog
from msgspec import Struct, field
from sqlalchemy import Connection
from uuid_utils import uuid4

from waystation.auth.access import EVERYTHING
from waystation.config import Config
from waystation.errors import SealBroken, Unavailable
from waystation.graphs import Graphs
from waystation.observability.figures import WorkerFigures
from waystation.observability.logs import context as log_context
from waystation.observability.metrics import Metrics
from waystation.observability.tracing import RunSpan, Tracing
from waystation.runs import lifecycle, queries
from waystation.runs.alarm import Alarm, while_open
from waystation.runs.execution import Ending, Execution
from waystation.runs.handover import read_note
from waystation.runs.leases import SURE, Leases
from waystation.runs.lifecycle import Claim, Claimed, LeaseLost
from waystation.runs.loops import RunnerLoops
from waystation.runs.notices import has_followers
from waystation.storage.checkpoints import RunSaver, Saver
from waystation.storage.database import Database
from waystation.storage.sealing import CONTEXT_KEY, under
from waystation.storage.stalled import end_stalled
from waystation.store import CustomStore, Store
from waystation.streams import queries as event_queries
from waystation.streams.bus import Bus
from waystation.streams.events import Positions, RunEnd
from waystation.streams.log import RunLog
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["Timing", "Worker"]

T = TypeVar("T")

log = structlog.get_logger("waystation.runs")

MIN_NODE_THREADS = 16
"""Threads for synchronous nodes of one loop at least; otherwise one for each run that may be executing."""

STALLED_S = 5
"""How long a process may leave a transaction alone before its connection to the database is closed: it holds locks."""

CLAIM_AT_ONCE = 4
"""Runs claimed in one transaction by a worker that is not alone: it leaves some to others that were woken as well."""

UNKNOWN_S = 2
"""How long a run may be held without being executed, before it is taken up by the safety net: a message may be on its way."""

REMEMBERED_STOPS = 1024
"""Stop signals kept for runs that are just being handed to this worker."""


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


class _Running(Struct):
    """A run that this worker executes."""

    run: Claimed
    task: asyncio.Task[None] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stop_asked_at: float | None = None
    hand_back: bool = False
    settling: bool = False
    """The graph is done with: from here on nothing may cancel the task, or the run would stay held for good."""
    abandoned: bool = False
    timed_out: bool = False
    """Set on the attempt that settles a run which did not stop at its time limit."""
    began_at: float = field(default_factory=time.monotonic)
    left_more: bool = False
    """Whether its thread has further runs waiting, which nobody could start before it was settled."""
    events: RunLog | None = None


class Worker:
    """Executes runs in this process, `jobs` at a time. All methods may be called from any thread."""

    def __init__(
        self,
        config: Config,
        db: Database,
        graphs: Graphs,
        store: Store | CustomStore,
        saver: Saver,
        bus: Bus,
        positions: Positions,
        metrics: Metrics,
        tracing: Tracing | None = None,
    ) -> None:
        self.worker_id = bus.address or str(uuid4())
        self.jobs = config.jobs_per_worker
        self.timing = Timing()
        """May be replaced before `start`."""
        self.on_notice: Callable[[], None] = lambda: None
        """Called when a run has left a notice for its webhook."""
        self.on_attempt: Callable[[], None] = lambda: None
        """Called in the context that a run is executed in."""
        self._config = config
        self._db = db
        self._graphs = graphs
        self._store = store
        self._saver = saver
        self._bus = bus
        self._positions = positions
        self._metrics = metrics
        self._tracing = tracing
        self._loops = RunnerLoops(threads=max(MIN_NODE_THREADS, config.jobs_per_worker))
        self._leases = Leases()
        self._running: dict[str, _Running] = {}
        self._reserved = 0
        self._may_have_more = True
        self._stops: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()
        self._closing = False
        self._safety_net: asyncio.Task[None] | None = None
        self._alarm = Alarm(self.fill, self._fill_and_look_ahead)
        self._beside: set[asyncio.Task[None]] = set()

    # --- life

    async def start(self) -> None:
        """Take over what a former process of this database left behind, and begin to work."""
        self._alarm.start()
        self._leases.renewed(time.monotonic(), self.timing.lease_s)
        await self._take_over(everything=True)
        await self._fill_and_look_ahead()
        self._safety_net = asyncio.create_task(self._watch_over(), name="waystation-safety-net")

    def stop_claiming(self) -> None:
        """Take no more runs; they wait for the next process."""
        self._closing = True
        self._bus.retire()

    async def close(self, grace_s: float) -> None:
        """Stop claiming, give runs `grace_s` seconds to finish, and hand the rest back to the queue."""
        self.stop_claiming()
        if self._safety_net is not None:
            self._safety_net.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._safety_net
        self._alarm.stop()
        await self._drained(grace_s)
        for running in list(self._running.values()):
            running.hand_back = True
            self._cancel(running)
        await self._drained(self.timing.stop_s)
        for running in list(self._running.values()):
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
        while self._running and time.monotonic() < until:  # noqa: ASYNC110 - runs end on other threads
            await asyncio.sleep(0.01)

    def figures(self) -> WorkerFigures:
        """How many runs this worker executes, and could."""
        active = len(self._running)
        return WorkerFigures(max=self.jobs, active=active, available=max(0, self.jobs - active))

    # --- taking work

    def reserve(self) -> Claim | None:
        """Offer a free slot to a run that is being created; pass it on to `accept` or `release`. None when there is none."""
        with self._lock:
            if self._closing or len(self._running) + self._reserved >= self.jobs:
                return None
            self._reserved += 1
        return self._claim()

    def release(self, claim: Claim) -> None:
        """Give back a slot that the run did not need, reserved with this claim."""
        with self._lock:
            self._reserved -= 1

    def free(self) -> int:
        """Slots that the queue has no run for, as far as is known."""
        if self._closing or self._may_have_more:
            return 0
        return max(0, self.jobs - len(self._running) - self._reserved)

    def take_on(self, runs: Sequence[bytes]) -> None:
        """Another process has created these runs as this worker's (`waystation.runs.handover`). On the loop of `start`."""
        unseen: list[str] = []
        for payload in runs:
            try:
                note = read_note(payload, self.worker_id)
            except (ValueError, TypeError):
                log.warning("cannot read which run was handed over; the safety net will find it")
                continue
            late = note.until - now_us() < SURE * self.timing.lease_s * MICROSECONDS
            if note.run is None or late:  # of its lease less is left than is relied on
                unseen.append(note.run_id)
                continue
            with self._lock:
                if note.run_id in self._running:
                    continue
                room = not self._closing and len(self._running) + self._reserved < self.jobs
                if room:
                    self._reserved += 1
            if room:
                self.accept(note.run)
            else:
                self._spawn(self._refuse(note.run))
        if unseen:
            self._spawn(self._take_up(unseen))

    async def _refuse(self, run: Claimed) -> None:
        """Pass a run on to the queue that there is no slot for."""
        with contextlib.suppress(LeaseLost):
            await self._db.write(lifecycle.requeue, run, now_us())
            self.wake()
            self._bus.wake_workers()

    async def _take_up(self, run_ids: Sequence[str]) -> None:
        """Execute runs that are held without being executed, as far as there are slots."""
        with self._lock:
            free = 0 if self._closing else max(0, self.jobs - len(self._running) - self._reserved)
            ours, others = run_ids[:free], run_ids[free:]
            self._reserved += len(ours)
        taken: list[Claimed] = []
        try:
            taken, stopped = await self._db.write(lifecycle.take_up, self._claim(), ours)
        finally:
            with self._lock:
                self._reserved -= len(ours) - len(taken)
        with self._lock:
            self._stops.update(dict.fromkeys(stopped, time.monotonic()))
        for run in taken:
            self.accept(run)
        if others:
            await self._let_go(others)

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

    def accept(self, run: Claimed, *, timed_out: bool = False) -> None:
        """Execute a run that was claimed with a reserved slot."""
        with self._lock:
            self._reserved -= 1
            running = self._running[run.run_id] = _Running(run, timed_out=timed_out)
            stop = self._stops.pop(run.run_id, None)
        if stop is not None:
            running.stop_asked_at = stop
        if run.attempt == 1 and not timed_out:
            self._metrics.wait_s.observe(max(0, now_us() - run.created_at) / MICROSECONDS)
        self._launch(running)

    async def fill(self) -> None:
        """Claim due runs until there are no more, or no free slots."""
        while await self._claim_some():
            pass

    async def _claim_some(self) -> bool:
        """Claim as many due runs as there are free slots, or, to share them with other workers, some of that. True when there
        may be more that fit."""
        with self._lock:
            free = self.jobs - len(self._running) - self._reserved
            if self._closing or free <= 0:
                self._may_have_more = True
                return False
            limit = free if self._bus.address is None else min(free, CLAIM_AT_ONCE)
            self._reserved += limit
            self._may_have_more = False
        claimed: list[Claimed] = []
        try:
            claimed = await self._db.write(lifecycle.claim, self._claim(), limit, now_us())
        finally:
            with self._lock:
                self._reserved -= limit - len(claimed)
                if len(claimed) == limit:
                    self._may_have_more = True
        for run in claimed:
            self.accept(run)
        return len(claimed) == limit < free

    async def _fill_and_look_ahead(self) -> None:
        """Claim what is due, and set the timer for what is due next."""
        before = now_us()
        await self.fill()
        due = await self._db.read(lifecycle.next_due_at, before)  # what fell due meanwhile has not been claimed
        if due is not None:
            self._alarm.ring_at(due)

    def wake(self) -> None:
        """There may be a run to claim. Called after a commit that put one into the queue, by this process or another."""
        with self._lock:
            self._may_have_more = True
        self._alarm.ring()

    def wake_at(self, due_us: int) -> None:
        """There will be a run to claim at `due_us` (microseconds since the epoch)."""
        self._alarm.ring_at(due_us)

    def stop(self, run_ids: Sequence[str]) -> list[str]:
        """These runs were cancelled: stop executing them. Called after the commit that cancelled them. Returns those that are not
        executed here."""
        elsewhere: list[str] = []
        for run_id in run_ids:
            with self._lock:
                running = self._running.get(run_id)
                if running is None:
                    elsewhere.append(run_id)
                    self._stops[run_id] = time.monotonic()
                    if len(self._stops) > REMEMBERED_STOPS:
                        self._stops.popitem(last=False)
                    continue
                running.stop_asked_at = running.stop_asked_at or time.monotonic()
            self._cancel(running)
        return elsewhere

    # --- executing

    def _claim(self) -> Claim:
        return Claim(self.worker_id, now_us() + int(self.timing.lease_s * MICROSECONDS))

    def _launch(self, running: _Running) -> None:
        self._loops.start(running.run.run_id, partial(self._work, running))

    def _cancel(self, running: _Running) -> None:
        """Cancel the run's task, on its own loop; before the task exists `_work` sees that it is to stop."""
        if running.loop is not None:

            def cancel() -> None:
                if running.task is not None and not running.settling:
                    running.task.cancel()

            running.loop.call_soon_threadsafe(cancel)

    async def _work(self, running: _Running) -> None:
        """One attempt of one run, from start to settled. On a runner loop."""
        running.task, running.loop = asyncio.current_task(), asyncio.get_running_loop()
        run = running.run
        with log_context(run_id=run.run_id, thread_id=run.thread_id, request_id=_request_id(run)):
            try:
                with under(run.kwargs.get(CONTEXT_KEY)), self._traced(run) as span:
                    await self._attempt(running, span)
            except LeaseLost:
                await self._dropped(running)
            except Unavailable:
                log.warning("the database closed under a run; it resumes at the next start")
            except Exception:
                log.exception("could not settle a run; its lease will expire and it will be tried again")
            finally:
                self._forget(running)
        if self._may_have_more and not self._closing:
            await while_open(self.fill)
        if running.left_more and self._may_have_more:
            self._bus.wake_workers()

    def _traced(self, run: Claimed) -> AbstractContextManager[RunSpan | None]:
        """A block with the span of an attempt."""
        if self._tracing is None:
            return contextlib.nullcontext()
        attributes = {
            "waystation.run.id": run.run_id,
            "waystation.run.attempt": run.attempt,
            "waystation.thread.id": run.thread_id,
            "waystation.assistant.id": run.assistant_id,
            "waystation.graph.id": run.graph_id,
        }
        return self._tracing.run(run.kwargs.get("trace"), f"run {run.graph_id}", attributes)

    async def _attempt(self, running: _Running, span: RunSpan | None) -> None:
        self.on_attempt()
        run = running.run
        guard = partial(lifecycle.ask_lease, run=run)
        events = running.events = self._open_log(run, guard)
        saver = None if run.kwargs.get("temporary") else self._saver_for(run, guard)
        store = self._store.within(run.workspace)
        callbacks = [] if span is None else [span.callback]
        execution = Execution(run, self._graphs, store, saver, events, self._config.job_timeout_s, callbacks)
        try:
            ending = await self._ending(running, execution, events)
            running.settling = True
        except asyncio.CancelledError as cancelled:
            running.settling = True
            _uncancel()
            if running.stop_asked_at is not None:
                ending = await execution.ended("stopped", None)
            elif running.hand_back:
                await self._hand_back(running, events, saver)
                return
            else:  # nobody asked for it: the graph's own doing
                ending = await execution.failed(cancelled)
        try:
            await events.flush()
        except Exception:
            log.exception("events of a run could not be stored; clients that reconnect will miss them")
        left = run.kwargs.get("temporary") and self._bus.heard_elsewhere(run.thread_id, run.run_id, run.listener)
        settle = partial(
            lifecycle.settling,
            run=run,
            outcome=ending.outcome,
            now=now_us(),
            result=ending.result if left else None,
        )
        settled = await self._last_write(saver, settle)
        self._forget(running)  # so that its slot is free for whoever hears of the end
        events.end(RunEnd(settled.status, ending.result))
        self._metrics.run_s.observe(time.monotonic() - running.began_at, settled.status)
        if span is not None:
            span.end_as(settled.status)
        if has_followers(run.kwargs):
            self.on_notice()
        if settled.more:
            self._may_have_more = running.left_more = True

    def _saver_for(self, run: Claimed, guard: Callable[[Connection], Callable[[], object]]) -> RunSaver:
        blank = run.thread_id if run.blank else None
        return self._saver.for_run(guard, wait=run.kwargs["durability"] == "sync", blank=blank)

    def _open_log(self, run: Claimed, guard: Callable[[Connection], Callable[[], object]]) -> RunLog:
        return RunLog(
            self._bus,
            self._db,
            self._positions,
            run.thread_id,
            run.run_id,
            resumable=bool(run.kwargs.get("resumable")),
            attempt=run.attempt,
            listener=run.listener,
            guard=guard,
            term=self._leases.term if now_us() < run.claim.until else lambda: None,
        )

    async def _dropped(self, running: _Running) -> None:
        """The run belongs to somebody else by now, or was deleted with its thread; then nobody else will tell of its end."""
        run = running.run
        log.warning("lost the lease of a run; its result is dropped", attempt=run.attempt)
        if running.abandoned or running.events is None:
            return
        with contextlib.suppress(Unavailable):
            if await self._db.lookup(queries.find_run, run.thread_id, run.run_id, EVERYTHING) is None:
                running.events.end(RunEnd("rollback"))

    async def _last_write(self, saver: RunSaver | None, begin: Callable[[Connection], Callable[[], T]]) -> T:
        """End the attempt in the database, in one transaction with what its checkpoints still have to store."""
        if saver is not None:
            return await saver.finish(begin)
        return await self._db.write_few(lambda conn: begin(conn)())

    async def _ending(self, running: _Running, execution: Execution, events: RunLog) -> Ending:
        run = running.run
        if run.kwargs.get("resumable"):
            await self._take_up_log(run, events)
        if running.timed_out:
            return await execution.timed_out()
        if running.stop_asked_at is not None or running.hand_back:
            raise asyncio.CancelledError
        if run.tries > self._config.job_max_retries:
            error = RuntimeError(f"The run was given up after {run.tries - 1} attempts that did not finish.")
            events.emit("error", {"error": "RuntimeError", "message": str(error)})
            return await execution.ended("error", error)
        return await execution.attempt()

    async def _take_up_log(self, run: Claimed, events: RunLog) -> None:
        """Go on behind what is stored: by other processes, whose clocks may be ahead, and by earlier attempts."""
        last = await self._db.lookup(event_queries.last_position, run.thread_id)
        self._positions.advance_past(last or 0)
        if run.attempt > 1:
            own = await self._db.lookup(event_queries.last_of_run, run.thread_id, run.run_id)
            events.resume_after(own or 0)

    async def _hand_back(self, running: _Running, events: RunLog, saver: RunSaver | None) -> None:
        """The process is shutting down: the run goes back to the queue and resumes elsewhere from its last checkpoint."""
        await events.flush()
        status = await self._last_write(saver, partial(lifecycle.requeuing, run=running.run, now=now_us()))
        events.end(RunEnd(status))
        self._bus.wake_workers()

    def _forget(self, running: _Running) -> None:
        with self._lock:
            if self._running.get(running.run.run_id) is running:
                del self._running[running.run.run_id]

    # --- the safety net

    async def _watch_over(self) -> None:
        while True:
            await self._pause()
            try:
                await self._renew()
                await self._take_over(everything=False)
                await self._catch_up()
                await self._abandon_stuck()
                await self._fill_and_look_ahead()
            except Exception:
                log.exception("the safety net failed; it tries again", every_s=self.timing.safety_net_s)

    async def _pause(self) -> None:
        """Until the safety net is due, which it is sooner while the bus is down."""
        until = time.monotonic() + self.timing.safety_net_s
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self.timing.without_bus_s))
            if not self._bus.connected:
                return

    async def _renew(self) -> None:
        asked_at = time.monotonic()
        await self._db.write(lifecycle.renew, self._claim(), list(self._running))
        if self._leases.renewed(asked_at, self.timing.lease_s):
            await self._drop_lost()

    async def _drop_lost(self) -> None:
        """The process was stopped, or cut off from the database: stop executing what others have taken over meanwhile."""
        for running in list(self._running.values()):
            try:
                await self._db.write(lifecycle.guard, running.run)
            except LeaseLost:
                running.hand_back = True
                self._cancel(running)

    async def _take_over(self, *, everything: bool) -> None:
        """Requeue runs of dead workers; at start of the only process on a database that means all that are held."""
        if await self._db.lookup(end_stalled, STALLED_S):
            log.warning("closed the database connections of a process that does not go on")
        now = now_us()
        requeued, to_settle = await self._db.write(
            lifecycle.take_over_expired, self._claim(), now, everything=everything and self._db.dialect == "sqlite"
        )
        if requeued:
            log.info("took over runs of a process that died", runs=len(requeued))
            self._bus.wake_workers()
        for run in to_settle:
            with self._lock:
                self._stops[run.run_id] = time.monotonic()
                self._reserved += 1
            self.accept(run)

    async def _catch_up(self) -> None:
        """Do what signals were to bring about that did not arrive: stop cancelled runs, and take up those that were given to this
        worker. A run that could not be settled is tried again, too."""
        long_ago = now_us() - UNKNOWN_S * MICROSECONDS
        held = await self._db.read(lifecycle.holdings, self.worker_id)
        self.stop([row.run_id for row in held if row.stop_action is not None and row.run_id in self._running])
        unknown = [row.run_id for row in held if row.run_id not in self._running and row.updated_at <= long_ago]
        if unknown:
            await self._take_up(unknown)

    async def _abandon_stuck(self) -> None:
        """Settle runs that were cancelled, or stopped at their time limit, and whose task goes on all the same. A new attempt
        number shuts the old task out of the database."""
        for running in list(self._running.values()):
            asked = running.stop_asked_at
            stop_at = asked if asked is not None else running.began_at + self._config.job_timeout_s
            if running.abandoned or time.monotonic() - stop_at < self.timing.abandon_s:
                continue
            running.abandoned = True
            if running.events is not None:
                running.events.mute()
            log.warning("a run does not stop; settling it without its task", run_id=running.run.run_id)
            with contextlib.suppress(LeaseLost):
                run = await self._db.write(lifecycle.fence, running.run, self._claim())
                self._forget(running)
                with self._lock:
                    self._reserved += 1
                    if asked is not None:
                        self._stops[run.run_id] = asked
                self.accept(run, timed_out=asked is None)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("could not deal with runs that were handed over; the safety net will")


def _uncancel() -> None:
    """The cancellation has been dealt with: what follows (settling) must be able to wait."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _request_id(run: Claimed) -> str | None:
    with contextlib.suppress(SealBroken):  # a run that nobody can decrypt fails later, and is logged
        found: str | None = run.kwargs["config"]["configurable"].get("langgraph_request_id")
        return found
    return None
