"""HTTP routes of thread rows (spec 3). Those of their state are in `waystation.threads.state_routes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import BadInput, HandlerFailed, UnprocessableInput
from waystation.http.authorization import allowed, asks_about, metadata_of
from waystation.http.bodies import read_body, require_uuid
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response, pagination_headers
from waystation.http.router import Router
from waystation.reserved import strip_metadata
from waystation.storage import checkpoints
from waystation.threads import deletion, queries, search, supersteps, wire
from waystation.threads.extract import parse_extract
from waystation.threads.models import ThreadCount, ThreadCreate, ThreadPatch, ThreadPrune, ThreadSearch, TtlBody
from waystation.threads.state_models import Superstep
from waystation.threads.ttl import Ttl, default_ttl
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["router"]

router = Router(tags=["Threads"])


@router.post("/threads", **operation("Create a thread", ThreadCreate, wire.SCHEMA))
async def create(request: Request) -> Response:
    server = _server(request)
    body = await read_body(request, ThreadCreate)
    thread_id = str(uuid7()) if body.thread_id is None else require_uuid(body.thread_id, "thread_id")
    asked = {"thread_id": thread_id, "metadata": strip_metadata(body.metadata), "if_exists": body.if_exists or "raise"}
    if body.ttl is not None:
        asked["ttl"] = body.ttl.model_dump(exclude_none=True)
    access = await allowed(request, "threads", "create", asked)
    ttl = _ttl(body.ttl) or default_ttl(server.config)
    row = queries.new_row(thread_id, metadata_of(asked), ttl, now_us(), access.home)
    chosen_id = body.thread_id is not None
    present = await server.db.write_few(queries.create, row, body.if_exists or "raise", access, chosen_id=chosen_id)
    if present is not None:
        return json_response(wire.stored_thread(present))
    if not body.supersteps:
        return json_response(wire.thread(row))
    return await _seeded(request, thread_id, body.supersteps)


async def _seeded(request: Request, thread_id: str, steps: Sequence[Superstep]) -> Response:
    """The answer to a request that has made a thread and has supersteps for it."""
    server = _server(request)
    try:
        access = await allowed(request, "threads", "update", {"thread_id": thread_id, "metadata": {}})
        access = await allowed(request, "threads", "read", {"thread_id": thread_id}, access)
        problem = await supersteps.seed(server, access, thread_id, steps)
    except (BadInput, HTTPException, HandlerFailed):
        # The request has failed, so it leaves no thread behind: it can be corrected and sent again.
        await deletion.delete_thread(server, EVERYTHING, thread_id)
        raise
    if problem is not None:
        return json_response({"detail": problem}, 201)
    return json_response(wire.stored_thread(await server.db.lookup(queries.get, thread_id, access)))


@router.post("/threads/search", **operation("Search threads", ThreadSearch))
async def find(request: Request) -> Response:
    body = await read_body(request, ThreadSearch)
    ids = body.thread_ids
    access, metadata = await _search_allowed(request, body, ids, body.limit, body.offset)
    filters = search.Filters(metadata, body.values, body.status, ids)
    order = search.Order(body.sort_by or "created_at", ascending=body.sort_order == "asc")
    found = await _server(request).db.read(
        search.search,
        filters,
        order,
        search.Page(body.limit + 1, body.offset),
        tuple(dict.fromkeys(body.select or wire.FIELDS)),
        parse_extract(body.extract or {}),
        access,
    )
    headers = pagination_headers(body.offset, body.limit, len(found))
    return json_response(found[: body.limit], headers=headers)


@router.post("/threads/count", **operation("Count threads", ThreadCount))
async def count(request: Request) -> Response:
    body = await read_body(request, ThreadCount)
    access, metadata = await _search_allowed(request, body, None, 0, 0)
    filters = search.Filters(metadata, body.values, body.status)
    return json_response(await _server(request).db.read(search.count, filters, access))


async def _search_allowed(
    request: Request, body: ThreadCount, ids: Sequence[str] | None, limit: int, offset: int
) -> tuple[Access, Mapping[str, Any]]:
    """The caller's access to a search, and the metadata to search for, to which a handler may add."""
    asked = body.asked(ids, limit, offset)
    access = await allowed(request, "threads", "search", asked)
    return access, metadata_of(asked)


@router.post("/threads/prune", **operation("Delete threads, or all their history but the newest", ThreadPrune))
async def prune(request: Request) -> Response:
    body = await read_body(request, ThreadPrune)
    thread_ids = list(dict.fromkeys(require_uuid(text, "thread_ids") for text in body.thread_ids))
    access = await allowed(request, "threads", "delete", {"thread_ids": [UUID(each) for each in thread_ids]})
    groups: dict[Access, list[str]] = {}
    for thread_id in thread_ids:
        own = access
        if asks_about(request, "threads", "delete"):
            own = await allowed(request, "threads", "delete", {"thread_id": thread_id}, access)
        groups.setdefault(own, []).append(thread_id)
    pruned = await deletion.prune(_server(request), groups, body.strategy or "delete")
    return json_response({"pruned_count": pruned})


@router.get("/threads/{thread_id}", **operation("Get a thread", answer=wire.SCHEMA))
async def get(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    with_ttl = _includes_ttl(request)
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    row = await _server(request).db.lookup(queries.get, thread_id, access)
    answer = wire.stored_thread(row)
    if with_ttl and (ttl := wire.ttl(row)) is not None:
        answer["ttl"] = ttl
    return json_response(answer)


@router.patch("/threads/{thread_id}", **operation("Change a thread", ThreadPatch, wire.SCHEMA))
async def patch(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    body = await read_body(request, ThreadPatch)
    asked = {"thread_id": thread_id, "metadata": strip_metadata(body.metadata)}
    access = await allowed(request, "threads", "update", asked)
    row = await _server(request).db.write(
        queries.patch, thread_id, metadata_of(asked), _ttl(body.ttl), now_us(), access
    )
    if request.headers.get("prefer") == "return=minimal":
        return empty()
    return json_response(wire.stored_thread(row))


@router.delete("/threads/{thread_id}", **operation("Delete a thread", status=204))
async def delete(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    access = await allowed(request, "threads", "delete", {"thread_id": thread_id})
    await deletion.delete_thread(_server(request), access, thread_id)
    return empty()


@router.post("/threads/{thread_id}/copy", **operation("Copy a thread", answer=wire.SCHEMA))
async def copy(request: Request, thread_id: str) -> Response:
    server = _server(request)
    thread_id = require_uuid(thread_id, "thread_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    source = await server.db.read(queries.source_of_copy, thread_id, access)
    new_id = str(uuid4())
    asked = {"thread_id": new_id, "metadata": source, "if_exists": "raise"}
    await allowed(request, "threads", "create", asked)
    ttl = default_ttl(server.config)
    row = await server.db.write(queries.copy, thread_id, new_id, metadata_of(asked), ttl, now_us(), access)
    return json_response(wire.thread(row))


@router.get("/threads/{thread_id}/storage", **operation("What a thread takes up"))
async def storage(request: Request, thread_id: str) -> Response:
    server = _server(request)
    thread_id = require_uuid(thread_id, "thread_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    await server.db.lookup(queries.require, thread_id, access)
    report = await server.db.read(checkpoints.storage_report, thread_id)
    return json_response({"thread_id": thread_id, **report})


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _ttl(body: TtlBody | None) -> Ttl | None:
    return None if body is None else Ttl(body.ttl, body.strategy or "delete")


def _includes_ttl(request: Request) -> bool:
    names = {name.strip() for name in ",".join(request.query_params.getlist("include")).split(",")} - {""}
    if unknown := names - {"ttl"}:
        raise UnprocessableInput(f"Invalid include {', '.join(sorted(unknown))}: only ttl can be included.")
    return "ttl" in names
