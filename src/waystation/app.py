"""The application: `create_app` builds every part, owns its lifetime, and routes requests to it.

There is no module-level state: two applications can live in one process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from waystation import assistants
from waystation.assistants.routes import router as assistant_routes
from waystation.config import Config, announce
from waystation.config.http import DEFAULT_CORS
from waystation.errors import ConfigError
from waystation.graphs import Graphs
from waystation.http.application import application
from waystation.http.router import Router
from waystation.observability.http_metrics import HttpMetrics
from waystation.observability.metrics import Metrics
from waystation.runs.engine import Engine
from waystation.runs.routes import router as run_routes
from waystation.runs.worker import Worker
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase
from waystation.store import Store
from waystation.store.routes import router as store_routes
from waystation.store.sweeper import sweep_regularly
from waystation.streams.bus import MemoryBus
from waystation.streams.events import Positions
from waystation.streams.routes import router as stream_routes
from waystation.streams.thread_stream import Publisher
from waystation.system.routes import health_routes, meta_routes
from waystation.threads.routes import router as thread_routes
from waystation.threads.state_routes import router as state_routes
from waystation.timestamps import now_us

__all__ = ["Server", "create_app"]

log = structlog.get_logger("waystation")

DATABASE_FILE = "waystation.db"
LOCK_FILE = "lock"


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
    _sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Install the default assistants and begin to execute runs."""
        await self.db.write(assistants.install, self.graphs, now_us(), self.config.graph_configs)
        await self.worker.start()
        self._sweeper = asyncio.create_task(sweep_regularly(self.store), name="waystation-store-sweeper")

    def begin_shutdown(self) -> None:
        """End the open streams, which would never end by themselves. Clients reconnect to the next process."""
        self.bus.close()

    async def close(self) -> None:
        """Finish or hand back what runs, then close the database."""
        self.begin_shutdown()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.worker.close(self.config.shutdown_grace_s)
        await self.db.close()
        self.lock.close()


def build_server(config: Config) -> Server:
    """Load the graphs, open the database and connect all parts. Raises ConfigError and GraphLoadError."""
    announce(config)
    graphs = Graphs.load(config)
    lock = _lock(config.data_dir)
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


def create_app(config: Config) -> Starlette:
    """The ASGI application for `config`. Raises ConfigError and GraphLoadError for a project that cannot be served."""
    server = build_server(config)

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
        at_root=[health_routes] if config.http.mount_prefix else [],
        middleware=[
            Middleware(HttpMetrics, metrics=server.metrics),
            Middleware(CORSMiddleware, **(DEFAULT_CORS if config.http.cors is None else config.http.cors)),
        ],
        lifespan=lifespan,
    )


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


def _lock(data_dir: Path) -> IO[str]:
    """Take the data directory for this process: two servers on one database would both execute its runs."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = open(data_dir / LOCK_FILE, "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the server lives
    except OSError as error:
        raise ConfigError(f"The data directory {data_dir} cannot be written: {error.strerror or error}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise ConfigError(
            f"The data directory {data_dir} is in use by another server (process {owner or 'unknown'}). "
            "Stop it, or choose another directory with WAYSTATION_DATA_DIR."
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
