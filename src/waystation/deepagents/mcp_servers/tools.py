"""Tools of MCP servers in runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from waystation.deepagents.mcp_servers.connections import Connections, Target
from waystation.deepagents.mcp_servers.failures import FailureKind, NotConnected, OAuthUnavailable, ServerFailed
from waystation.deepagents.mcp_servers.listing import Listing, Listings
from waystation.deepagents.mcp_servers.targets import Found, Targets, as_failure
from waystation.deepagents.mcp_servers.urls import shown, url_key

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from mcp.types import CallToolResult

__all__ = ["Offer", "OfferedTool", "Problem", "ToolSource", "Wanted"]

log = structlog.get_logger("waystation.mcp_servers")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tools that an agent takes from one server."""

    url: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool, and what it was asked for by."""

    url: str
    name: str
    """The server's. A copy of `tool` may have another one (``tool.model_copy(update={"name": …})``)."""
    tool: BaseTool


@dataclass(frozen=True, slots=True)
class Problem:
    """A server whose tools are not there, all or some of them."""

    url: str
    server: str
    kind: FailureKind
    message: str
    tools: tuple[str, ...]
    """Those that a run has to do without."""

    @property
    def notice(self) -> str:
        """What a model is told, so that it does not promise what it cannot do."""
        tools = ", ".join(self.tools)
        return f"The MCP server {self.server!r} is not available: {self.message}. Do without its tools ({tools}), and say so if they are needed."


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is of the tools that were wanted, in the order in which they were."""

    tools: tuple[OfferedTool, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Server:
    """One server of an offer: its tools by name, or what is wrong with it."""

    name: str
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: ServerFailed | None = None


class ToolSource:
    """Makes LangChain tools of what MCP servers offer. Usable from every event loop.

    The tools know the workspace, the URL and the name, and no credentials: these are looked up with each call.
    """

    def __init__(self, targets: Targets, connections: Connections, listings: Listings) -> None:
        self._targets = targets
        self._connections = connections
        self._listings = listings

    async def offer(self, workspace: str, wanted: Sequence[Wanted]) -> Offer:
        """The tools of `wanted` that there are, asking all servers at once. Never fails for a server: a problem says which tools
        are missing, and why."""
        if not wanted:
            return Offer(())
        return await asyncio.wrap_future(self._connections.run(self._offer(workspace, wanted)))

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

    async def _offer(self, workspace: str, wanted: Sequence[Wanted]) -> Offer:
        found = await self._targets.find(workspace, (each.url for each in wanted))
        urls = _once(each.url for each in wanted)
        servers = await asyncio.gather(*(self._listed(workspace, url, found[url]) for url in urls))
        by_key = dict(zip(map(url_key, urls), servers, strict=True))
        tools: list[OfferedTool] = []
        problems: list[Problem] = []
        for each in wanted:
            server = by_key[url_key(each.url)]
            missing = tuple(name for name in each.names if name not in server.tools)
            present = (server.tools[name] for name in dict.fromkeys(each.names) if name in server.tools)
            tools += (self._tool(workspace, each.url, server.name, described) for described in present)
            if missing:
                failure = server.failure or ServerFailed("invalid_response", "it does not offer them")
                problems.append(Problem(each.url, server.name, failure.kind, failure.message, missing))
                log.warning(
                    "tools of an MCP server are missing", server=server.name, tools=missing, error=failure.message
                )
        return Offer(tuple(tools), tuple(problems))

    async def _listed(self, workspace: str, url: str, found: Found) -> _Server:
        server = _Server(self._name(url, found))
        try:
            target = self._target(workspace, url, found)
            listing: Listing = Listings.fresh(found.tools) or await self._listings.fetch(target)
        except ServerFailed as failure:
            server.failure = failure
        else:
            server.tools = {tool["name"]: tool for tool in listing.tools}
        return server

    def _tool(self, workspace: str, url: str, server: str, described: Mapping[str, Any]) -> OfferedTool:
        from waystation.deepagents.mcp_servers.mcp_tool import McpTool

        name = described["name"]
        tool = McpTool(
            name=name,
            description=described["description"],
            args_schema=described["inputSchema"],
            metadata={"mcp": {"server": shown(url), "tool": name, "annotations": described.get("annotations", {})}},
        )
        return OfferedTool(url, name, tool.asking(server, partial(self._begin, workspace, url, name)))

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


def _once(urls: Iterable[str]) -> list[str]:
    """The first spelling of each URL."""
    found: dict[str, str] = {}
    for url in urls:
        found.setdefault(url_key(url), url)
    return list(found.values())
