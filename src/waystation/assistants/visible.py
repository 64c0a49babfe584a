"""The assistants that a caller sees: the events are asked, then the rows are read (spec 18.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request

from waystation.assistants import queries
from waystation.auth.access import Access
from waystation.http.authorization import access_of, allowed, metadata_of
from waystation.http.configurable import server_configurable

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from waystation.app import Server
    from waystation.store import CustomStore, Store

__all__ = ["opening", "search_allowed", "store_of"]


async def search_allowed(
    request: Request, filters: queries.Filters, limit: int, offset: int
) -> tuple[Access, queries.Filters]:
    """The caller's access to a search, and what to search for; a handler may add to its metadata."""
    asked = {
        "graph_id": filters.graph_id,
        "metadata": dict(filters.metadata or {}),
        "name": filters.name,
        "limit": limit,
        "offset": offset,
    }
    access = await allowed(request, "assistants", "search", asked)
    return access, queries.Filters(filters.graphs, metadata_of(asked), filters.graph_id, filters.name)


def opening(request: Request, row: Mapping[str, Any]) -> tuple[str, RunnableConfig]:
    """An assistant's graph and the config to open it with."""
    configurable = {**row["config"].get("configurable", {}), **server_configurable(request)}
    return row["graph_id"], cast("RunnableConfig", {**row["config"], "configurable": configurable})


def store_of(request: Request) -> Store | CustomStore:
    """What a factory gets for its store: that of the caller's workspace."""
    server: Server = request.app.state.server
    return server.store.within(access_of(request).home)
