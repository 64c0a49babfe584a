"""HTTP routes of assistants (spec 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from waystation.assistants import queries, removal, wire
from waystation.assistants.configuration import in_step
from waystation.assistants.models import (
    AssistantCount,
    AssistantCreate,
    AssistantPatch,
    AssistantSearch,
    VersionChange,
    VersionsSearch,
)
from waystation.assistants.resolution import assistant_id_of
from waystation.auth.access import Access
from waystation.errors import Conflict, NotFound, UnprocessableInput
from waystation.graphs.drawing import parse_xray
from waystation.http.authorization import access_of, allowed, caller_of, metadata_of
from waystation.http.bodies import describe, read_body, read_bytes, require_uuid
from waystation.http.configurable import server_configurable
from waystation.http.openapi import operation
from waystation.http.parameters import flag, integer
from waystation.http.responses import empty, json_response, pagination_headers
from waystation.http.router import Router
from waystation.reserved import strip_config, strip_context, strip_metadata
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from waystation.app import Server
    from waystation.graphs import Graphs
    from waystation.runs.models import RunConfig
    from waystation.store import CustomStore, Store

__all__ = ["router"]

router = Router(tags=["Assistants"])


@router.post("/assistants", **operation("Create an assistant", AssistantCreate, wire.SCHEMA))
async def create(request: Request) -> Response:
    server = _server(request)
    body = await read_body(request, AssistantCreate)
    assistant_id = str(uuid4()) if body.assistant_id is None else require_uuid(body.assistant_id, "assistant_id")
    _require_graph(server.graphs, body.graph_id)
    config, context = in_step(strip_config(_plain(body.config)), strip_context(body.context))
    name = "Untitled" if body.name is None else body.name
    asked = {
        "assistant_id": assistant_id,
        "graph_id": body.graph_id,
        "config": config,
        "context": context,
        "metadata": strip_metadata(body.metadata),
        "if_exists": body.if_exists or "raise",
        "name": name,
        "description": body.description,
    }
    access = await allowed(request, "assistants", "create", asked)
    content = queries.Content(body.graph_id, name, body.description, config, context, metadata_of(asked))
    row = await server.db.write(queries.create, assistant_id, content, body.if_exists or "raise", now_us(), access)
    return json_response(wire.assistant(row))


@router.post("/assistants/search", **operation("Search assistants", AssistantSearch))
async def search(request: Request) -> Response:
    server = _server(request)
    body = await read_body(request, AssistantSearch)
    access, filters = await _search_allowed(request, body, body.limit, body.offset)
    rows = await server.db.read(
        queries.search,
        filters,
        body.sort_by or "created_at",
        body.sort_order or "desc",
        body.limit,
        body.offset,
        access,
    )
    fields = body.select or wire.FIELDS
    found = [wire.assistant(row, fields) for row in rows[: body.limit]]
    return json_response(found, headers=pagination_headers(body.offset, body.limit, len(rows)))


@router.post("/assistants/count", **operation("Count assistants", AssistantCount))
async def count(request: Request) -> Response:
    server = _server(request)
    body = await read_body(request, AssistantCount)
    access, filters = await _search_allowed(request, body, 0, 0)
    return json_response(await server.db.read(queries.count, filters, access))


@router.get("/assistants/{assistant_id}", **operation("Get an assistant", answer=wire.SCHEMA))
async def get(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    access = await allowed(request, "assistants", "read", {"assistant_id": of})
    row = await server.db.read(queries.get, of, access)
    if row["graph_id"] not in server.graphs.served:
        raise NotFound(f"The assistant {assistant_id} belongs to a graph that this server does not have.")
    return json_response(wire.assistant(row))


@router.patch("/assistants/{assistant_id}", **operation("Make a new version", AssistantPatch, wire.SCHEMA))
async def patch(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    body = await read_body(request, AssistantPatch)
    if body.graph_id is not None:
        _require_graph(server.graphs, body.graph_id)
    config, context = strip_config(_plain(body.config)), None if body.context is None else strip_context(body.context)
    asked = {
        "assistant_id": of,
        "graph_id": body.graph_id,
        "config": config,
        "context": context or {},
        "metadata": strip_metadata(body.metadata),
        "name": body.name,
        "description": body.description,
    }
    access = await allowed(request, "assistants", "update", asked)
    await _require_changeable(server, of, access)
    changes = queries.Patch(
        graph_id=body.graph_id,
        name=body.name,
        description=body.description,
        config=config,
        context=context,
        metadata=metadata_of(asked),
    )
    row = await server.db.write(queries.patch, of, changes, now_us(), access)
    return json_response(wire.assistant(row))


@router.delete("/assistants/{assistant_id}", **operation("Delete an assistant", status=204))
async def delete(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    delete_threads = flag(request, "delete_threads")
    access = await allowed(request, "assistants", "delete", {"assistant_id": of})
    await _require_changeable(server, of, access)

    async def may(action: str, value: dict[str, Any]) -> Access | None:
        try:
            return await allowed(request, "threads", action, value)
        except HTTPException:
            return None

    decided = caller_of(request).handlers is not None
    await removal.remove(server, access, of, may if decided else None, delete_threads=delete_threads)
    return empty()


@router.post("/assistants/{assistant_id}/versions", **operation("List versions", VersionsSearch))
async def versions(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    body = await read_body(request, VersionsSearch)
    asked = {"assistant_id": of, "metadata": body.metadata or {}}
    access = await allowed(request, "assistants", "read", asked)
    rows = await server.db.read(queries.list_versions, of, body.metadata, body.limit, body.offset, access)
    return json_response([wire.assistant(row) for row in rows])


@router.post("/assistants/{assistant_id}/latest", **operation("Make a version current", VersionChange, wire.SCHEMA))
async def latest(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    version = await _version(request)
    access = await allowed(request, "assistants", "update", {"assistant_id": of, "version": version, "metadata": {}})
    await _require_changeable(server, of, access)
    row = await server.db.write(queries.set_latest, of, version, now_us(), access)
    return json_response(wire.assistant(row))


@router.get("/assistants/{assistant_id}/graph", **operation("Draw the graph"))
async def graph(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    xray = parse_xray(request.query_params.get("xray"))
    graph_id, config = await _opening(request, server, of)
    return json_response(await server.graphs.introspection.drawing(graph_id, xray, config, store=_store(request)))


@router.get("/assistants/{assistant_id}/schemas", **operation("Schemas of the graph"))
async def schemas(request: Request, assistant_id: str) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    graph_id, config = await _opening(request, server, of)
    return json_response(await server.graphs.introspection.schemas(graph_id, config, store=_store(request)))


@router.get("/assistants/{assistant_id}/subgraphs", **operation("Schemas of the subgraphs"))
async def subgraphs(request: Request, assistant_id: str) -> Response:
    return await _subgraphs(request, assistant_id, None)


@router.get("/assistants/{assistant_id}/subgraphs/{namespace}", **operation("Schemas of one subgraph"))
async def subgraph(request: Request, assistant_id: str, namespace: str) -> Response:
    return await _subgraphs(request, assistant_id, namespace)


async def _subgraphs(request: Request, assistant_id: str, namespace: str | None) -> Response:
    server = _server(request)
    of = assistant_id_of(assistant_id, server.graphs)
    recurse = flag(request, "recurse")
    graph_id, config = await _opening(request, server, of)
    found = await server.graphs.introspection.subgraph_schemas(
        graph_id, namespace, recurse, config, store=_store(request)
    )
    return json_response(found)


async def _opening(request: Request, server: Server, assistant_id: str) -> tuple[str, RunnableConfig]:
    """An assistant's graph and the config to open it with. Raises NotFound."""
    access = await allowed(request, "assistants", "read", {"assistant_id": assistant_id})
    row = await server.db.read(queries.get, assistant_id, access)
    own = {"assistant_id": assistant_id, "graph_id": row["graph_id"]}
    configurable = {**row["config"].get("configurable", {}), **server_configurable(request), **own}
    config = cast("RunnableConfig", {**row["config"], "configurable": configurable})
    return row["graph_id"], config


def _store(request: Request) -> Store | CustomStore:
    """What a factory gets for its store: that of the caller's workspace."""
    return _server(request).store.within(access_of(request).home)


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _plain(config: RunConfig | None) -> dict[str, Any]:
    if config is None:
        return {}
    return {key: value for key, value in config.model_dump(exclude_unset=True).items() if value is not None}


async def _require_changeable(server: Server, assistant_id: str, access: Access) -> None:
    """Raise Conflict for an assistant that is made and changed by another route."""
    row = await server.db.read(queries.find, assistant_id, access)
    own = None if row is None else server.graphs.own(row["graph_id"])
    if own is not None:
        path = own.made_at.format(assistant_id=assistant_id)
        raise Conflict(f"The assistant {assistant_id} cannot be changed or deleted here; do it at {path}.")


def _require_graph(graphs: Graphs, graph_id: str) -> None:
    if graph_id not in graphs:
        raise NotFound(f"There is no graph {graph_id!r}; this server has {', '.join(graphs.ids) or 'none'}.")


async def _search_allowed(
    request: Request, body: AssistantCount, limit: int, offset: int
) -> tuple[Access, queries.Filters]:
    """The caller's access to a search, and what to search for; a handler may add to its metadata."""
    graphs = _server(request).graphs
    if body.graph_id is not None and body.graph_id not in graphs.served:
        _require_graph(graphs, body.graph_id)
    asked = {
        "graph_id": body.graph_id,
        "metadata": body.metadata or {},
        "name": body.name,
        "limit": limit,
        "offset": offset,
    }
    access = await allowed(request, "assistants", "search", asked)
    return access, queries.Filters(graphs.served, metadata_of(asked), body.graph_id, body.name)


async def _version(request: Request) -> int:
    """The version, from the body (as the SDKs send it) or from the query (as the contract has it)."""
    in_query = integer(request, "version")
    data = await read_bytes(request)
    try:
        in_body = VersionChange.model_validate_json(data).version if data.strip() else None
    except ValidationError as error:
        raise UnprocessableInput(describe(error)) from None
    if in_query is not None and in_body not in (None, in_query):
        raise UnprocessableInput(f"The query asks for version {in_query}, the body for version {in_body}.")
    version = in_query if in_body is None else in_body
    if version is None:
        raise UnprocessableInput("version: give the number of the version.")
    return version
