"""The assistant that a caller wants to run by another protocol, and what can be said to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection
from starlette.requests import Request

from waystation.assistants.queries import is_shared
from waystation.assistants.resolution import Assistant, ask_for, assistant_id_of
from waystation.assistants.visible import opening, store_of
from waystation.auth.access import Access
from waystation.auth.filters import NOTHING
from waystation.errors import WaystationError
from waystation.http.authorization import caller_of

if TYPE_CHECKING:
    from waystation.app import Server
    from waystation.graphs import Graphs

__all__ = ["input_keys", "runnable"]

log = structlog.get_logger("waystation.assistants")

A_CONVERSATION = frozenset({"messages"})
"""What agents that are made through the API take: they all have the same graph, which is compiled for each run."""


async def runnable(request: Request, called: str) -> Assistant:
    """The assistant with the id `called`, or that of the graph with this id. Everybody may run what the server made itself; for
    others `assistants.read` is asked, as for any run (spec 18.4).

    Raises NotFound, UnprocessableInput for what is neither, and what `allowed` raises."""
    server: Server = request.app.state.server
    caller = caller_of(request)
    assistant_id = assistant_id_of(called, server.graphs)
    access = caller.access
    if caller.handlers is not None:
        if await server.db.lookup(is_shared, assistant_id):
            access = access.narrowed("assistants", NOTHING)
        else:
            access = await caller.allowed("assistants", "read", {"assistant_id": assistant_id})
    return await server.db.lookup(_find, access, assistant_id, server.graphs)


def _find(conn: Connection, access: Access, assistant_id: str, graphs: Graphs) -> Assistant:
    return ask_for(conn, access, assistant_id, graphs)()


async def input_keys(request: Request, assistant: Assistant) -> frozenset[str]:
    """The keys that an input of the assistant's graph has. Those of a graph whose factory makes none without a run are not known,
    and taken for those of a conversation. Raises NotFound for a graph that this server does not have, and NotAGraph."""
    server: Server = request.app.state.server
    if server.graphs.own(assistant.graph_id) is not None:
        return A_CONVERSATION
    row = {"assistant_id": assistant.assistant_id, "graph_id": assistant.graph_id, "config": assistant.config}
    graph_id, config = opening(request, row)
    try:
        return await server.graphs.introspection.input_keys(graph_id, config, store=store_of(request))
    except WaystationError:
        raise
    except Exception as error:  # noqa: BLE001 - a factory may raise anything
        log.info("a factory makes no graph without a run", graph_id=graph_id, error=repr(error))
        return A_CONVERSATION
