"""One attempt of a run: executing its graph, storing its events, and settling it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from waystation.auth.access import EVERYTHING
from waystation.config import Config
from waystation.errors import SealBroken, Unavailable
from waystation.graphs import Graphs
from waystation.observability.logs import context as log_context
from waystation.observability.metrics import Metrics
from waystation.observability.tracing import RunSpan, Tracing
from waystation.runs import lifecycle, queries
from waystation.runs.execution import Ending, Execution
from waystation.runs.leases import Leases
from waystation.runs.lifecycle import Claimed, LeaseLost
from waystation.runs.notices import has_followers
from waystation.runs.slots import Running, Slots
from waystation.storage.checkpoints import RunSaver, Saver
from waystation.storage.database import Database
from waystation.storage.sealing import CONTEXT_KEY, under
from waystation.store import CustomStore, Store
from waystation.streams import queries as event_queries
from waystation.streams.bus import Bus
from waystation.streams.events import Positions, RunEnd
from waystation.streams.log import RunLog
from waystation.timestamps import now_us

__all__ = ["Attempts"]

T = TypeVar("T")

log = structlog.get_logger("waystation.runs")


class Attempts:
    """Carries out attempts of the runs in `slots`, whose `leases` are renewed by somebody else."""

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
        tracing: Tracing | None,
        *,
        slots: Slots,
        leases: Leases,
    ) -> None:
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
        self._slots = slots
        self._leases = leases

    async def carry_out(self, running: Running) -> None:
        """One attempt of one run, from start to settled; then its slot is free. On a runner loop. Raises nothing."""
        running.begin()
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
                log.exception("could not settle a run; it will be tried again")
            finally:
                self._slots.leave(running)

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

    async def _attempt(self, running: Running, span: RunSpan | None) -> None:
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
        self._slots.leave(running)  # so that its slot is free for whoever hears of the end
        events.end(RunEnd(settled.status, ending.result))
        self._metrics.run_s.observe(time.monotonic() - running.began_at, settled.status)
        if span is not None:
            span.end_as(settled.status)
        if has_followers(run.kwargs):
            self.on_notice()
        if settled.more:
            running.left_more = True
            self._slots.expect_more()

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

    async def _dropped(self, running: Running) -> None:
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

    async def _ending(self, running: Running, execution: Execution, events: RunLog) -> Ending:
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

    async def _hand_back(self, running: Running, events: RunLog, saver: RunSaver | None) -> None:
        """The process is shutting down: the run goes back to the queue and resumes elsewhere from its last checkpoint."""
        await events.flush()
        status = await self._last_write(saver, partial(lifecycle.requeuing, run=running.run, now=now_us()))
        events.end(RunEnd(status))
        self._bus.wake_workers()


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
