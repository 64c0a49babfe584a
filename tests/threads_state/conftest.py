"""A server with the graphs of `project`, its state routes over HTTP, and ways to make threads and run graphs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Connection, insert, select

from waystation.config import Config, GraphSpec, HttpConfig
from waystation.encoding import to_plain
from waystation.graphs import Graphs
from waystation.http.application import application
from waystation.http.unknown_fields import UnknownFields
from waystation.storage.checkpoints import Saver
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import runs, threads
from waystation.store import Store
from waystation.threads import routes, state_routes
from waystation.timestamps import now_us

PROJECT = Path(__file__).parent / "project"
GRAPHS = (
    "chat",
    "approval",
    "nested",
    "parallel",
    "fan",
    "picky",
    "gated",
    "gated_read",
    "delta",
    "typed",
    "traced",
    "workflow",
)


class Published:
    """In place of the event streams: remembers what was published."""

    def __init__(self) -> None:
        self.states: list[tuple[str, dict[str, Any]]] = []

    def publish_state(self, thread_id: str, state: dict[str, Any]) -> None:
        self.states.append((thread_id, to_plain(state)))


@dataclass
class State:
    """The parts of a server that thread state needs."""

    config: Config
    db: SqliteDatabase
    graphs: Graphs
    saver: Saver
    store: Store
    unknown_fields: UnknownFields = field(default_factory=UnknownFields)
    streams: Published = field(default_factory=Published)

    async def thread(self, graph_id: str | None = None, **config: Any) -> str:
        """A new thread, its graph named in the metadata."""
        thread_id = str(uuid4())
        row = {
            "thread_id": thread_id,
            "status": "idle",
            "metadata": {"graph_id": graph_id} if graph_id else {},
            "config": {"configurable": config} if config else {},
            "values": None,
            "interrupts": {},
            "created_at": now_us(),
            "updated_at": now_us(),
            "state_updated_at": now_us(),
        }
        await self.db.write(lambda conn: conn.execute(insert(threads), row) and None)
        return thread_id

    async def run_row(self, thread_id: str, status: str, graph_id: str = "chat") -> str:
        """A run as the thread's history knows it; it is not executed."""
        run_id = str(uuid4())
        row = {
            "run_id": run_id,
            "thread_id": thread_id,
            "assistant_id": str(uuid4()),
            "graph_id": graph_id,
            "status": status,
            "metadata": {},
            "kwargs": {},
            "multitask_strategy": "enqueue",
            "created_at": now_us(),
            "updated_at": now_us(),
            "attempt": 0,
            "settled_at": None if status in ("pending", "running") else now_us(),
        }
        await self.db.write(lambda conn: conn.execute(insert(runs), row) and None)
        return run_id

    async def run(self, graph_id: str, thread_id: str, value: Any) -> Any:
        """Execute the graph on the thread up to its end or an interrupt."""
        configurable = {"thread_id": thread_id, "graph_id": graph_id, "__pregel_checkpointer": self.saver}
        config: Any = {"configurable": configurable}
        async with self.graphs.open(graph_id, config=config, access_context="threads.read", store=None) as graph:
            return await graph.ainvoke(value, config)

    async def row(self, thread_id: str) -> Any:
        """The thread's row."""

        def read(conn: Connection) -> Any:
            return conn.execute(select(threads).where(threads.c.thread_id == thread_id)).mappings().one()

        return await self.db.read(read)


@pytest.fixture(scope="session")
def config() -> Config:
    specs = {name: GraphSpec(name, f"./graphs.py:{name}") for name in GRAPHS}
    return Config(
        project_dir=PROJECT,
        graphs=specs,
        http=HttpConfig(configurable_headers={"includes": ["x-*"], "excludes": ["x-private-*"]}),
    )


@pytest.fixture(scope="session")
def graphs(config: Config) -> Graphs:
    return Graphs.load(config)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables: copying it is quicker than creating them."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite"
    db = SqliteDatabase(path)
    upgrade(db)
    asyncio.run(db.close())
    return path


@pytest.fixture
async def server(config: Config, graphs: Graphs, empty_database: Path, tmp_path: Path) -> AsyncIterator[State]:
    db = SqliteDatabase(Path(shutil.copy(empty_database, tmp_path / "state.sqlite")))
    yield State(config, db, graphs, Saver(db), Store(db))
    await db.close()


@pytest.fixture
async def client(server: State) -> AsyncIterator[httpx.AsyncClient]:
    app = application([routes.router, state_routes.router], server)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http
