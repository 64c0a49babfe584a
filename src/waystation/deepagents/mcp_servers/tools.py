"""Tools of MCP servers in runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from waystation.deepagents.mcp_servers.connections import Connections, Target
from waystation.deepagents.mcp_servers.failures import NotConnected, OAuthUnavailable, ServerFailed
from waystation.deepagents.mcp_servers.listing import Listing, Listings
from waystation.deepagents.mcp_servers.targets import Found, Targets, as_failure
from waystation.deepagents.tool_source import ServerTools, ToolSource, ToolsUnavailable
from waystation.deepagents.urls import shown, url_key
from waystation.encoding import encode

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from mcp.types import CallToolResult

__all__ = ["McpTools"]


class McpTools:
    """Makes LangChain tools of what MCP servers offer. Usable from every event loop.

    The tools know the workspace, the URL and the name, and no credentials: these are looked up with each call.
    """

    def __init__(self, targets: Targets, connections: Connections, listings: Listings) -> None:
        self._targets = targets
        self._connections = connections
        self._listings = listings

    def within(self, workspace: str) -> ToolSource:
        """What the agents of a workspace get."""
        return _Within(self, workspace)

    async def of(self, workspace: str, url: str, names: Collection[str]) -> ServerTools:
        """The tools `names` that the server at `url` has. Raises ToolsUnavailable."""
        return await asyncio.wrap_future(self._connections.run(self._of(workspace, url, names)))

    async def health(self, workspace: str, urls: Sequence[str]) -> list[dict[str, Any]]:
        """What a new connection to each of `urls` comes to, with the credentials of a run: ``[{"name", "url", "ok", "is_default",
        "error"?, "error_code"?}]`` in the order of `urls`, each server once (MDA 4.7)."""
        if not urls:
            return []
        return await asyncio.wrap_future(self._connections.run(self._health(workspace, _once(urls))))

    async def _health(self, workspace: str, urls: Sequence[str]) -> list[dict[str, Any]]:
        found = await self._targets.find(workspace, urls)
        return await asyncio.gather(*(self._probe(workspace, url, found[url]) for url in urls))

    async def _probe(self, workspace: str, url: str, found: Found) -> dict[str, Any]:
        described = {"name": self._name(url, found), "url": url, "ok": True, "is_default": False}
        try:
            await self._connections.probe(self._target(workspace, url, found))
        except ServerFailed as failure:
            described.update(ok=False, error=failure.message, error_code=failure.kind)
        return described

    async def _of(self, workspace: str, url: str, names: Collection[str]) -> ServerTools:
        found = (await self._targets.find(workspace, [url]))[url]
        try:
            target = self._target(workspace, url, found)
            listing: Listing = Listings.fresh(found.tools) or await self._listings.fetch(target)
        except ServerFailed as failure:
            raise ToolsUnavailable(failure.message) from failure
        server = self._name(url, found)
        described = sorted((tool for tool in listing.tools if tool["name"] in names), key=itemgetter("name"))
        version = hashlib.sha256(encode([workspace, server, url, described])).hexdigest()
        return ServerTools([self._tool(workspace, url, server, each) for each in described], version)

    def _tool(self, workspace: str, url: str, server: str, described: Mapping[str, Any]) -> BaseTool:
        from waystation.deepagents.mcp_servers.mcp_tool import McpTool

        name = described["name"]
        tool = McpTool(
            name=name,
            description=described["description"],
            args_schema=described["inputSchema"],
            metadata={"mcp": {"server": shown(url), "tool": name, "annotations": described.get("annotations", {})}},
        )
        return tool.asking(server, partial(self._begin, workspace, url, name))

    def _begin(self, workspace: str, url: str, name: str, arguments: dict[str, Any]) -> Future[CallToolResult]:
        return self._connections.run(self._call(workspace, url, name, arguments))

    async def _call(self, workspace: str, url: str, name: str, arguments: dict[str, Any]) -> CallToolResult:
        found = await self._targets.find(workspace, [url])
        seconds = self._connections.timing.call_s
        return await self._connections.call(
            self._target(workspace, url, found[url]),
            lambda client: client.call_tool(name, arguments, read_timeout_seconds=seconds),
            seconds,
        )

    def _target(self, workspace: str, url: str, found: Found) -> Target:
        try:
            return self._targets.target(workspace, url, found.row)
        except (NotConnected, OAuthUnavailable) as error:
            raise as_failure(error) from None

    def _name(self, url: str, found: Found) -> str:
        return shown(url) if found.row is None else str(found.row["name"])


class _Within(Struct, frozen=True):
    """`McpTools` for one workspace."""

    source: McpTools
    workspace: str

    async def tools(self, server_url: str, names: Collection[str]) -> ServerTools:
        return await self.source.of(self.workspace, server_url, names)


def _once(urls: Iterable[str]) -> list[str]:
    """The first spelling of each URL."""
    found: dict[str, str] = {}
    for url in urls:
        found.setdefault(url_key(url), url)
    return list(found.values())
