"""The parts of a running server, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from msgspec.structs import replace

from waystation import assistants
from waystation.auth.caller import Authentication
from waystation.config import Config
from waystation.crons.scheduler import Scheduler
from waystation.deepagents.mcp_servers import McpServers
from waystation.graphs import Graphs
from waystation.http.unknown_fields import UnknownFields
from waystation.observability.metrics import Metrics
from waystation.observability.tracing import Tracing
from waystation.protocol.sessions import Sessions
from waystation.roles import Role
from waystation.runs.capacity import Capacity
from waystation.runs.engine import Engine
from waystation.runs.handover import Handover
from waystation.runs.worker import Worker
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.storage.sealing import Seals
from waystation.store import CustomStore, Store
from waystation.store.semantic.index import Index
from waystation.store.semantic.refresh import refresh_regularly
from waystation.store.sweeper import sweep_regularly
from waystation.streams.bus import Bus
from waystation.streams.sweeper import sweep_events_regularly
from waystation.streams.thread_stream import Publisher
from waystation.threads.sweeper import sweep_threads_regularly
from waystation.timestamps import now_us
from waystation.webhooks.deliverer import Deliverer
from waystation.webhooks.policy import WebhookPolicy
from waystation.webhooks.sweeper import sweep_deliveries_regularly

__all__ = ["Server"]

LOOK_S = 0.02
"""How often a server that stops looks whether everything is finished. Runs end on other threads, or in other processes."""

HURRIED_STOP_S = 0.5
"""How long a run may take to stop when the server has to stop at once."""


@dataclass(slots=True)
class Server:
    """The parts of a running server. Routes find it as ``request.app.state.server``."""

    config: Config
    role: Role
    db: Database
    graphs: Graphs
    saver: Saver
    store: Store | CustomStore
    index: Index | None
    """None without semantic search."""
    bus: Bus
    streams: Publisher
    worker: Worker | None
    """None in a process that executes no runs."""
    handover: Handover | None
    """None where there can be no other processes."""
    engine: Engine
    capacity: Capacity
    scheduler: Scheduler
    webhooks: WebhookPolicy
    deliverer: Deliverer | None
    """None in a process that executes no runs, unless webhooks may be paths of this server, which only such a process has."""
    mcp_servers: McpServers
    metrics: Metrics
    tracing: Tracing | None
    """None where no traces are made."""
    lock: IO[str] | None
    """Of the data directory; None with PostgreSQL, which processes share."""
    encryption: Seals | None = None
    """None where everything is stored as it is."""
    authentication: Authentication | None = None
    """None where everybody may do everything."""
    unknown_fields: UnknownFields = field(default_factory=UnknownFields)
    sessions: Sessions = field(init=False)
    """The threads that clients of the event streaming protocol follow."""
    stopping: bool = False
    """Set once whatever still waits for a run is cut off: what ends from then on may not be complete."""
    _hurried: bool = False
    _draining: asyncio.Task[None] | None = None
    _sweepers: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self)

    async def start(self) -> None:
        """Install the default assistants and begin to serve and to execute runs."""
        worker = self.worker
        await self.bus.start(worker, self._told_to_stop)
        if self.handover is not None:
            self.handover.start()
        if self.role != "worker":
            await self.db.write(assistants.install, self.graphs, now_us(), self.config.graph_configs)
            await self.mcp_servers.start()
        if worker is not None:
            await worker.start()
            if isinstance(self.store, Store):
                self._sweep(sweep_regularly(self.store))
            if self.index is not None:
                self._sweep(refresh_regularly(self.db, self.index))
            self._sweep(sweep_events_regularly(self.db, self.config.resumable_ttl_s))
            self._sweep(sweep_threads_regularly(self.db, self.config))
            self._sweep(sweep_deliveries_regularly(self.db, self.config.webhooks.log_days))
        if self.deliverer is not None:
            self.deliverer.start()
        if self.config.crons_enabled:
            self.scheduler.start()

    def begin_shutdown(self) -> None:
        """Take no more runs, and cut off what waits for a run: clients reconnect to another process, or to the next. From
        any thread."""
        if self.worker is not None:
            self.worker.stop_claiming()
        self.stopping = True
        self.bus.close()

    async def drain(self) -> None:
        """Take no more runs; let those that run and the requests that wait for one finish within the grace period; then cut
        the requests off and hand the runs back to the queue. All callers wait for the same shutdown."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="waystation-drain")
        await asyncio.shield(self._draining)

    def hurry(self) -> None:
        """End the grace period of `drain`. From any thread, and from a signal handler."""
        self._hurried = True

    async def close(self) -> None:
        """`drain`, then close the bus and the database."""
        await self.drain()
        if self.deliverer is not None:
            await self.deliverer.stop()
        for sweeper in self._sweepers:
            sweeper.cancel()
        await self.mcp_servers.close()
        if self.handover is not None:
            await self.handover.stop()
        await self.bus.stop()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        if self.index is not None:
            await asyncio.to_thread(self.index.close)
        if isinstance(self.store, CustomStore):
            await asyncio.to_thread(self.store.close)
        await self.db.close()
        if self.lock is not None:
            self.lock.close()

    async def _drain(self) -> None:
        await self.scheduler.stop()
        if self.worker is not None:
            self.worker.stop_claiming()
        until = time.monotonic() + self.config.shutdown_grace_s
        while self._busy() and not self._hurried and time.monotonic() < until:  # noqa: ASYNC110 - runs end on other threads
            await asyncio.sleep(LOOK_S)
        self.begin_shutdown()
        if self.worker is not None:
            if self._hurried:
                self.worker.timing = replace(self.worker.timing, stop_s=HURRIED_STOP_S)
            # The worker renews its leases until it is closed, so the grace period is ours to wait for.
            await self.worker.close(0)

    def _busy(self) -> bool:
        """Whether waiting can still be of use: a run goes on here, or a request waits for one that may go on elsewhere."""
        if self.worker is not None and self.worker.figures().active:
            return True
        return self.bus.address is not None and self.bus.waiting > 0

    def _told_to_stop(self, run_ids: Sequence[str]) -> None:
        """Another process has cancelled runs, which may be executed here."""
        if self.worker is not None:
            self.worker.stop(run_ids)

    def _sweep(self, sweeping: Coroutine[Any, Any, None]) -> None:
        self._sweepers.append(asyncio.create_task(sweeping, name="waystation-sweeper"))
