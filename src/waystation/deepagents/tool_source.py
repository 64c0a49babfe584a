"""Where the tools of MCP servers come from, as compiling an agent needs it and `waystation.deepagents.mcp_servers` gives it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from msgspec import Struct

__all__ = ["ServerTools", "ToolSource", "ToolsUnavailable"]


class ToolsUnavailable(Exception):
    """A server's tools cannot be had. The text is told to the model: a reason without addresses and secrets."""


class ServerTools(Struct, frozen=True):
    """The tools of one server, ready to be called."""

    tools: Sequence[Any]
    """LangChain tools; asynchronous ones will do. They look credentials up with each call, so that none is in a graph or in what a
    run stores."""
    version: str
    """Differs for tools that are defined differently, or called for another workspace: graphs are kept by it."""


class ToolSource(Protocol):
    """The tools that the runs of one workspace get."""

    async def tools(self, server_url: str, names: Collection[str]) -> ServerTools:
        """The tools `names` of the server, as far as it has them, within a bounded time. Raises ToolsUnavailable; any other
        exception means the same and is logged."""
        ...
