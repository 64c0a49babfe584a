from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from waystation.config import Config, GraphSpec, HttpConfig
from waystation.http.application import application
from waystation.http.unknown_fields import UnknownFields
from waystation.observability.figures import QueueFigures, WorkerFigures
from waystation.observability.http_metrics import HttpMetrics
from waystation.observability.metrics import Metrics
from waystation.runs.capacity import Capacity
from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import metadata
from waystation.store import Store
from waystation.store.routes import router as store_routes
from waystation.system.routes import health_routes, meta_routes


class Engine:
    """What the metrics ask of an engine."""

    def __init__(self) -> None:
        self.queue = QueueFigures(pending=0, running=0, wait_max_s=0, wait_med_s=0)

    async def queue_figures(self) -> QueueFigures:
        return self.queue


class Worker:
    """What the metrics ask of a worker."""

    def figures(self) -> WorkerFigures:
        return WorkerFigures(max=64, active=3, available=61)


class Bus:
    """What the metrics ask of a bus."""

    connected = True
    lag_s = None


@dataclass
class Server:
    config: Config
    db: SqliteDatabase
    store: Store
    capacity: Capacity
    engine: Engine = field(default_factory=Engine)
    worker: Worker | None = field(default_factory=Worker)
    bus: Bus = field(default_factory=Bus)
    metrics: Metrics = field(default_factory=Metrics)
    unknown_fields: UnknownFields = field(default_factory=UnknownFields)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "system.db")
    await database.write(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
def make_app(db: SqliteDatabase, tmp_path: Path) -> Callable[..., Starlette]:
    """An application of the store's and the system's routes, with two graphs."""

    def make(disabled: frozenset[str] = frozenset(), redis_uri: str | None = None) -> Starlette:
        graphs = {name: GraphSpec(name, f"./{name}.py:graph") for name in ("agent", "chat")}
        config = Config(tmp_path, graphs=graphs, http=HttpConfig(disabled=disabled), redis_uri=redis_uri)
        server = Server(config, db, Store(db), Capacity(db, limit=100))
        meta = [] if "meta" in disabled else [meta_routes]
        metrics = Middleware(HttpMetrics, metrics=server.metrics)
        return application([store_routes, health_routes, *meta], server, middleware=[metrics])

    return make


@pytest.fixture
def app(make_app: Callable[..., Starlette]) -> Starlette:
    return make_app()


@pytest.fixture
async def api(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://system") as client:
        yield client
