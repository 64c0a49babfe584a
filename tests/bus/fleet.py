"""Several servers of one deployment in this process: each on a thread with a loop of its own, with one database and one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import project_config
from tests.databases import database_uri
from tests.driver import Driver
from tests.live import LiveServer, listening
from waystation.app import create_app
from waystation.roles import Role
from waystation.runs.worker import Timing

__all__ = ["SIGNALS_ONLY", "Fleet"]

SIGNALS_ONLY = Timing(lease_s=120, safety_net_s=60, without_bus_s=0.2)
"""A worker that finds nothing by itself within a test, unless the bus is down."""


class Fleet:
    """Starts servers. Use it as a context manager."""

    def __init__(self, data_dir: Path, redis_uri: str, key_prefix: str) -> None:
        self._data_dir = data_dir
        self._shared: dict[str, Any] = {
            "database_uri": database_uri(data_dir),
            "postgres_pool_size": 3,
            "redis_uri": redis_uri,
            "redis_key_prefix": key_prefix,
            "lease_s": SIGNALS_ONLY.lease_s,
        }
        self.environ = {
            "DATABASE_URI": str(self._shared["database_uri"]),
            "REDIS_URI": redis_uri,
            "REDIS_KEY_PREFIX": key_prefix,
            "LANGGRAPH_POSTGRES_POOL_MAX_SIZE": "3",
        }
        """The same for a process of its own."""
        self._running = ExitStack()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @contextmanager
    def serving(self, role: Role, timing: Timing | None = None, **changes: Any) -> Iterator[LiveServer]:
        """A server of this role, for as long as the block lasts."""
        app = create_app(project_config(self._data_dir, **{"heartbeat_s": 5, **self._shared, **changes}), role=role)
        if timing is not None:
            app.state.server.worker.timing = timing
        with listening(app) as server:
            yield server

    def start(self, role: Role, timing: Timing | None = None, **changes: Any) -> LiveServer:
        """A server of this role, for as long as the fleet lasts."""
        return self._running.enter_context(self.serving(role, timing, **changes))

    def worker(self, timing: Timing = SIGNALS_ONLY, **changes: Any) -> LiveServer:
        return self.start("worker", timing, **changes)

    @asynccontextmanager
    async def driver(self, server: LiveServer) -> AsyncIterator[Driver]:
        """A client of one of the servers."""
        async with httpx.AsyncClient(base_url=server.url, timeout=60, verify=False) as client:
            yield Driver(client)
