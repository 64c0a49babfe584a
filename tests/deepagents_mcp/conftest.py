"""MCP servers on real sockets, and the routes of the registry over a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.conftest import connected, project_config
from tests.deepagents_mcp.remote import RemoteServer
from waystation.auth import key_queries
from waystation.auth.api_keys import ApiKeys
from waystation.auth.keys import KeyOwner, new_key
from waystation.databases import open_database
from waystation.deepagents.mcp_servers import McpServers
from waystation.deepagents.mcp_servers.connections import Timing
from waystation.deepagents.mcp_servers.routes import router
from waystation.http.application import application
from waystation.http.unknown_fields import UnknownFields
from waystation.storage.database import Database
from waystation.timestamps import now_us

KEY = "k" * 32

QUICK = Timing(connect_s=2, list_s=4, call_s=1, idle_s=30)
"""Servers that are to hang are not waited for long; the others answer within milliseconds."""


@dataclass(frozen=True, slots=True)
class Side:
    """A part of a server: the registry and its routes."""

    http: httpx.AsyncClient
    servers: McpServers
    db: Database

    async def key_of(self, workspace: str, user: str | None) -> dict[str, str]:
        """Headers of a caller."""
        key = new_key()
        await self.db.write(key_queries.create, key, KeyOwner.of(workspace, user), now_us())
        return {"X-Api-Key": key.text}

    async def register(self, url: str, **fields: Any) -> dict[str, Any]:
        answer = await self.http.post("/mcp-servers", json={"name": "remote", "url": url, **fields})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def tools(self, url: str, **query: Any) -> httpx.Response:
        return await self.http.get("/mcp/tools", params={"url": url, **query})


Sided = Callable[..., AbstractAsyncContextManager[Side]]


@pytest.fixture
def sided(tmp_path: Path) -> Sided:
    """Opens the registry on the test's database; again, to stop and start it."""

    @asynccontextmanager
    async def open_(
        *, timing: Timing = QUICK, verify: Any = True, resolve: Any = None, **changes: Any
    ) -> AsyncIterator[Side]:
        settings: dict[str, Any] = {"secret_keys": (KEY,), "allow_private_urls": True, **changes}
        config = project_config(tmp_path / "data", **settings)
        db, lock = open_database(config)
        options = {} if resolve is None else {"resolve": resolve}
        servers = McpServers(db, config, timing=timing, verify=verify, **options)
        authentication = ApiKeys(db) if config.api_keys else None
        parts = SimpleNamespace(
            config=config, mcp_servers=servers, unknown_fields=UnknownFields(), authentication=authentication
        )
        app = application([router], parts, authentication=authentication)
        try:
            await servers.start()
            async with connected(app) as http:
                yield Side(http, servers, db)
        finally:
            await servers.close()
            await db.close()
            if lock is not None:
                lock.close()

    return open_


@pytest.fixture
async def side(sided: Sided) -> AsyncIterator[Side]:
    async with sided() as side:
        yield side


@pytest.fixture
def remotes() -> Iterator[Callable[..., RemoteServer]]:
    """Starts MCP servers."""
    started: list[RemoteServer] = []

    def start(*args: Any, **options: Any) -> RemoteServer:
        started.append(RemoteServer(*args, **options).start())
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def remote(remotes: Callable[..., RemoteServer]) -> RemoteServer:
    return remotes()
