"""The application: `create_app` builds every part, owns its lifetime, and routes requests to it.

There is no module-level state: two applications can live in one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from waystation import assistants
from waystation.assistants.routes import router as assistant_routes
from waystation.config import Config, HttpConfig, announce
from waystation.config.http import DEFAULT_CORS
from waystation.graphs import Graphs
from waystation.http.application import application
from waystation.http.router import Router
from waystation.observability.http_metrics import HttpMetrics
from waystation.observability.logs import configure_logs
from waystation.observability.metrics import Metrics
from waystation.runs.engine import Engine
from waystation.runs.routes import router as run_routes
from waystation.runs.worker import Worker
from waystation.storage.checkpoints import Saver
from waystation.storage.data_dir import DATABASE_FILE, lock_data_dir
from waystation.storage.database import Database
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase
from waystation.store import Store
from waystation.store.routes import router as store_routes
from waystation.store.sweeper import sweep_regularly
from waystation.streams.bus import MemoryBus
from waystation.streams.events import Positions
from waystation.streams.routes import router as stream_routes
from waystation.streams.sweeper import sweep_events_regularly
from waystation.streams.thread_stream import Publisher
from waystation.system.routes import health_routes, meta_routes
from waystation.threads.routes import router as thread_routes
from waystation.threads.state_routes import router as state_routes
from waystation.timestamps import now_us

__all__ = ["Server", "create_app", "load_project"]


@dataclass(slots=True)
class Server:
    """The parts of a running server. Routes find it as ``request.app.state.server``."""

    config: Config
    db: Database
    graphs: Graphs
    saver: Saver
    store: Store
    bus: MemoryBus
    streams: Publisher
    worker: Worker
    engine: Engine
    lock: IO[str]
    metrics: Metrics
    _sweepers: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Install the default assistants and begin to execute runs."""
        await self.db.write(assistants.install, self.graphs, now_us(), self.config.graph_configs)
        await self.worker.start()
        self._sweepers = [
            asyncio.create_task(sweep_regularly(self.store), name="waystation-store-sweeper"),
            asyncio.create_task(
                sweep_events_regularly(self.db, self.config.resumable_ttl_s), name="waystation-event-sweeper"
            ),
        ]

    def begin_shutdown(self) -> None:
        """Take no more runs, and end the open streams, which would never end by themselves. Clients reconnect to the next
        process."""
        self.worker.stop_claiming()
        self.bus.close()

    async def close(self) -> None:
        """Finish or hand back what runs, then close the database."""
        self.begin_shutdown()
        for sweeper in self._sweepers:
            sweeper.cancel()
        await self.worker.close(self.config.shutdown_grace_s)
        await self.db.close()
        self.lock.close()


def load_project(config: Config) -> Graphs:
    """Everything of a project that can be checked while another process serves it. Raises ConfigError for a setting that this
    version refuses, GraphLoadError for a graph that does not load."""
    if not structlog.is_configured():  # its own default prints the values of local variables, secrets among them
        configure_logs(config.log_level, json=config.log_json, color=config.log_color)
    announce(config)
    return Graphs.load(config)


def build_server(config: Config, graphs: Graphs) -> Server:
    """Open the database and connect all parts. Raises ConfigError."""
    lock = lock_data_dir(config.data_dir)
    try:
        db = SqliteDatabase(config.data_dir / DATABASE_FILE)
        upgrade(db)
    except BaseException:
        lock.close()
        raise
    saver, store = Saver(db), Store(db, config.store.get("ttl"))
    graphs.attach(store, saver)
    bus, positions = MemoryBus(), Positions()
    worker = Worker(config, db, graphs, store, saver, bus, positions)
    engine = Engine(db, bus, positions, graphs, worker)
    return Server(config, db, graphs, saver, store, bus, Publisher(bus, positions), worker, engine, lock, Metrics())


def create_app(config: Config, graphs: Graphs | None = None) -> Starlette:
    """The ASGI application for `config`, whose `load_project` may have been done already.

    Raises ConfigError and GraphLoadError for a project that cannot be served."""
    server = build_server(config, graphs if graphs is not None else load_project(config))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await server.start()
        try:
            yield
        finally:
            await server.close()

    return application(
        _routers(config.http.disabled),
        server,
        prefix=config.http.mount_prefix,
        at_root=_at_root(config.http),
        middleware=[
            Middleware(HttpMetrics, metrics=server.metrics),
            Middleware(CORSMiddleware, **(DEFAULT_CORS if config.http.cors is None else config.http.cors)),
        ],
        lifespan=lifespan,
    )


def _at_root(http: HttpConfig) -> list[Router]:
    """What stays at the root of a server that is mounted below a prefix (spec 20)."""
    if not http.mount_prefix:
        return []
    return [health_routes] if "meta" in http.disabled else [health_routes, meta_routes.only("/", "/metrics")]


def _routers(disabled: Container[str]) -> list[Router]:
    """The routes of every family that is not disabled."""
    families = {
        "assistants": [assistant_routes],
        "threads": [thread_routes, state_routes, stream_routes],
        "runs": [run_routes],
        "store": [store_routes],
        "meta": [meta_routes],
    }
    chosen = [health_routes]
    for family, routers in families.items():
        if family not in disabled:
            chosen += routers
    return chosen
