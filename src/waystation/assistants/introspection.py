"""What an assistant's graph looks like: drawing, schemas, subgraphs (spec 2.4 to 2.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from waystation.assistants import queries
from waystation.auth.access import Access
from waystation.graphs.drawing import drawing
from waystation.graphs.schemas import schemas, subgraph_schemas

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["describe_schemas", "describe_subgraphs", "draw"]


async def draw(server: Server, access: Access, assistant_id: str, xray: bool | int) -> dict[str, Any]:
    """``{nodes, edges}``, with subgraphs opened up to the depth `xray`. Raises NotFound, UnprocessableInput."""
    async with _opened(server, access, assistant_id) as (_, graph):
        return drawing(graph, xray)


async def describe_schemas(server: Server, access: Access, assistant_id: str) -> dict[str, Any]:
    """The ``GraphSchema`` of the assistant's graph. Raises NotFound."""
    async with _opened(server, access, assistant_id) as (graph_id, graph):
        return {"graph_id": graph_id, **schemas(graph)}


async def describe_subgraphs(
    server: Server, access: Access, assistant_id: str, namespace: str | None, recurse: bool
) -> dict[str, Any]:
    """The schemas of the static subgraphs, by namespace. Raises NotFound."""
    async with _opened(server, access, assistant_id) as (_, graph):
        return subgraph_schemas(graph, namespace, recurse)


@asynccontextmanager
async def _opened(
    server: Server, access: Access, assistant_id: str
) -> AsyncIterator[tuple[str, Pregel[Any, Any, Any, Any]]]:
    row = await server.db.read(queries.get, assistant_id, access)
    config: RunnableConfig = row["config"]
    graph_id: str = row["graph_id"]
    async with server.graphs.open(
        graph_id, config=config, access_context="assistants.read", store=server.store
    ) as graph:
        yield graph_id, graph
