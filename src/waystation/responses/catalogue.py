"""Assistants as models: which there are, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from starlette.requests import Request

from waystation.assistants import assistant_id_for_graph, queries
from waystation.assistants.resolution import Assistant
from waystation.assistants.runnable import input_keys, runnable
from waystation.assistants.visible import search_allowed
from waystation.auth.access import Access
from waystation.errors import NotFound, UnprocessableInput, WaystationError
from waystation.responses.errors import ModelNotFound
from waystation.timestamps import MICROSECONDS

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["model_of", "models", "takes_messages", "wire_model"]

MOST = 1_000
"""Assistants that are listed, newest first."""

Row = dict[str, Any]


async def models(request: Request) -> list[dict[str, Any]]:
    """The assistants that the caller sees and that take messages."""
    rows = await _visible(request)
    names = Counter(row["name"] for row in rows)
    return [wire_model(_called(request, row, names), row) for row in rows if await _is_model(request, row)]


async def _is_model(request: Request, row: Row) -> bool:
    try:
        return "messages" in await input_keys(request, _assistant(row))
    except WaystationError:  # whoever wants to use it is told
        return False


async def model_of(request: Request, called: str) -> Assistant:
    """The assistant with this id, that of the graph with this id, or the only one with this name. Raises ModelNotFound."""
    try:
        return await runnable(request, called)
    except (NotFound, UnprocessableInput):
        named = [row for row in await _visible(request, called) if row["name"] == called]
    if len(named) > 1:
        raise ModelNotFound(f"{len(named)} assistants have the name {called!r}; say which one by its id.")
    if not named:
        raise ModelNotFound(f"The model {called!r} does not exist, or you have no access to it.")
    return _assistant(named[0])


async def takes_messages(request: Request, assistant: Assistant) -> frozenset[str]:
    """The keys of the assistant's input. Raises ModelNotFound if there are no messages among them."""
    keys = await input_keys(request, assistant)
    if "messages" not in keys:
        raise ModelNotFound(
            f"The graph {assistant.graph_id!r} takes no messages, so that it cannot be used as a model."
        )
    return keys


def wire_model(called: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The Model object."""
    owner = "waystation" if row["workspace"] is None else "user"
    return {"id": called, "object": "model", "created": row["created_at"] // MICROSECONDS, "owned_by": owner}


async def _visible(request: Request, name: str | None = None) -> list[Row]:
    server: Server = request.app.state.server
    filters = queries.Filters(server.graphs.served, None, None, name)
    access, filters = await search_allowed(request, filters, MOST, 0)
    return await server.db.read(_search, filters, access)


def _search(conn: Connection, filters: queries.Filters, access: Access) -> list[Row]:
    return queries.search(conn, filters, "created_at", "desc", MOST, 0, access)[:MOST]


def _called(request: Request, row: Row, names: Mapping[str, int]) -> str:
    """The shortest name by which `model_of` finds the assistant."""
    server: Server = request.app.state.server
    if row["assistant_id"] == assistant_id_for_graph(row["graph_id"]):
        return str(row["graph_id"])
    name = str(row["name"])
    taken = names[name] > 1 or name in server.graphs or "/" in name
    return str(row["assistant_id"]) if taken else name


def _assistant(row: Row) -> Assistant:
    return Assistant(*(row[name] for name in ("assistant_id", "graph_id", "config", "context", "metadata", "version")))
