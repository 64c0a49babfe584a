"""MCP servers on real sockets, and a server that has them in its registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from managed_deepagents import AsyncClient

from tests.auth.test_api_keys import by, make_key
from tests.conftest import connected, project_config
from tests.deepagents.conftest import contractual
from tests.deepagents.mcp_servers.remote import RemoteServer
from waystation.app import create_app
from waystation.deepagents.mcp_servers import McpServers
from waystation.deepagents.mcp_servers.connections import Timing
from waystation.deepagents.tool_source import ServerTools
from waystation.server import Server

KEY = "k" * 32

QUICK = Timing(connect_s=2, list_s=4, call_s=1, idle_s=30)
"""Servers that are to hang are not waited for long; the others answer within milliseconds."""


@dataclass(frozen=True, slots=True)
class Side:
    """A server, as users and runs have it."""

    http: httpx.AsyncClient
    """Raw HTTP, below the base path of the API; every answer is checked against the contract."""
    app: Any

    @property
    def server(self) -> Server:
        server: Server = self.app.state.server
        return server

    @property
    def servers(self) -> McpServers:
        return self.server.mcp_servers

    @property
    def client(self) -> AsyncClient:
        """The vendor's."""
        return AsyncClient(api_url="http://waystation", http_client=self.http)

    async def key_of(self, workspace: str, user: str | None) -> dict[str, str]:
        """Headers of a caller."""
        return by(await make_key(self.app, workspace, user))

    async def register(self, url: str, **fields: Any) -> dict[str, Any]:
        created: dict[str, Any] = await self.client.mcp_servers.create({"name": "remote", "url": url, **fields})
        return created

    async def source(self, url: str, *names: str, workspace: str = "default") -> ServerTools:
        """What compiling an agent gets."""
        return await self.servers.tools.within(workspace).tools(url, names)

    async def tool(self, url: str, name: str) -> Any:
        """A LangChain tool of the server."""
        [tool] = (await self.source(url, name)).tools
        return tool

    async def tools(self, url: str, **query: Any) -> httpx.Response:
        return await self.http.get("/mcp/tools", params={"url": url, **query})


Sided = Callable[..., AbstractAsyncContextManager[Side]]


@pytest.fixture
def sided(tmp_path: Path) -> Sided:
    """Starts a server on the test's database; again, to stop and start it."""

    @asynccontextmanager
    async def open_(
        *, timing: Timing = QUICK, verify: Any = True, resolve: Any = None, **changes: Any
    ) -> AsyncIterator[Side]:
        settings: dict[str, Any] = {"secret_keys": (KEY,), "allow_private_urls": True, **changes}
        app = create_app(project_config(tmp_path / "data", **settings))
        server: Server = app.state.server
        options = {} if resolve is None else {"resolve": resolve}
        server.mcp_servers = McpServers(server.db, server.config, timing=timing, verify=verify, **options)
        async with app.router.lifespan_context(app), connected(app) as http:
            http.base_url = httpx.URL("http://waystation/v1/deepagents")
            http.event_hooks["response"].append(contractual)
            yield Side(http, app)

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
