"""HTTP routes of thread rows (spec 3). Those of their state are in `waystation.threads.state_routes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from waystation.errors import BadInput, UnprocessableInput
from waystation.http.bodies import read_body, require_uuid
from waystation.http.openapi import operation
from waystation.http.responses import access_of, empty, json_response, pagination_headers
from waystation.http.router import Router
from waystation.reserved import strip_metadata
from waystation.storage import checkpoints
from waystation.threads import deletion, queries, search, supersteps, wire
from waystation.threads.extract import parse_extract
from waystation.threads.models import ThreadCount, ThreadCreate, ThreadPatch, ThreadPrune, ThreadSearch, TtlBody
from waystation.threads.ttl import Ttl, default_ttl
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["router"]

router = Router(tags=["Threads"])


@router.post("/threads", **operation("Create a thread", ThreadCreate, wire.SCHEMA))
async def create(request: Request) -> Response:
    server = _server(request)
    access = access_of(request)
    body = await read_body(request, ThreadCreate)
    thread_id = str(uuid7()) if body.thread_id is None else require_uuid(body.thread_id, "thread_id")
    ttl = _ttl(body.ttl) or default_ttl(server.config)
    row = queries.new_row(thread_id, strip_metadata(body.metadata), ttl, now_us())
    present = await server.db.write_few(queries.create, row, body.if_exists or "raise", access)
    if present is not None:
        return json_response(wire.stored_thread(present))
    if not body.supersteps:
        return json_response(wire.thread(row))
    try:
        problem = await supersteps.seed(server, access, thread_id, body.supersteps)
    except BadInput:
        # The request has failed, so it leaves no thread behind: it can be corrected and sent again.
        await deletion.delete_thread(server, access, thread_id)
        raise
    if problem is not None:
        return json_response({"detail": problem}, 201)
    return json_response(wire.stored_thread(await server.db.lookup(queries.get, thread_id, access)))


@router.post("/threads/search", **operation("Search threads", ThreadSearch))
async def find(request: Request) -> Response:
    body = await read_body(request, ThreadSearch)
    filters = search.Filters(body.metadata, body.values, body.status, _ids(body.ids))
    order = search.Order(body.sort_by or "created_at", ascending=body.sort_order == "asc")
    found = await _server(request).db.read(
        search.search,
        filters,
        order,
        search.Page(body.limit + 1, body.offset),
        tuple(dict.fromkeys(body.select or wire.FIELDS)),
        parse_extract(body.extract or {}),
        access_of(request),
    )
    headers = pagination_headers(body.offset, body.limit, len(found))
    return json_response(found[: body.limit], headers=headers)


@router.post("/threads/count", **operation("Count threads", ThreadCount))
async def count(request: Request) -> Response:
    body = await read_body(request, ThreadCount)
    filters = search.Filters(body.metadata, body.values, body.status)
    return json_response(await _server(request).db.read(search.count, filters, access_of(request)))


@router.post("/threads/prune", **operation("Delete threads, or all their history but the newest", ThreadPrune))
async def prune(request: Request) -> Response:
    body = await read_body(request, ThreadPrune)
    thread_ids = [require_uuid(text, "thread_ids") for text in body.thread_ids]
    pruned = await deletion.prune(_server(request), access_of(request), thread_ids, body.strategy or "delete")
    return json_response({"pruned_count": pruned})


@router.get("/threads/{thread_id}", **operation("Get a thread", answer=wire.SCHEMA))
async def get(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    with_ttl = _includes_ttl(request)
    row = await _server(request).db.lookup(queries.get, thread_id, access_of(request))
    answer = wire.stored_thread(row)
    if with_ttl and (ttl := wire.ttl(row)) is not None:
        answer["ttl"] = ttl
    return json_response(answer)


@router.patch("/threads/{thread_id}", **operation("Change a thread", ThreadPatch, wire.SCHEMA))
async def patch(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    body = await read_body(request, ThreadPatch)
    row = await _server(request).db.write(
        queries.patch, thread_id, strip_metadata(body.metadata), _ttl(body.ttl), now_us(), access_of(request)
    )
    if request.headers.get("prefer") == "return=minimal":
        return empty()
    return json_response(wire.stored_thread(row))


@router.delete("/threads/{thread_id}", **operation("Delete a thread", status=204))
async def delete(request: Request, thread_id: str) -> Response:
    await deletion.delete_thread(_server(request), access_of(request), require_uuid(thread_id, "thread_id"))
    return empty()


@router.post("/threads/{thread_id}/copy", **operation("Copy a thread", answer=wire.SCHEMA))
async def copy(request: Request, thread_id: str) -> Response:
    server = _server(request)
    thread_id = require_uuid(thread_id, "thread_id")
    row = await server.db.write(
        queries.copy, thread_id, str(uuid4()), default_ttl(server.config), now_us(), access_of(request)
    )
    return json_response(wire.thread(row))


@router.get("/threads/{thread_id}/storage", **operation("What a thread takes up"))
async def storage(request: Request, thread_id: str) -> Response:
    server = _server(request)
    thread_id = require_uuid(thread_id, "thread_id")
    await server.db.lookup(queries.require, thread_id, access_of(request))
    report = await server.db.read(checkpoints.storage_report, thread_id)
    return json_response({"thread_id": thread_id, **report})


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _ttl(body: TtlBody | None) -> Ttl | None:
    return None if body is None else Ttl(body.ttl, body.strategy or "delete")


def _ids(texts: Sequence[str] | None) -> list[str] | None:
    """The ids to search for; unlike elsewhere a malformed one is a 400 (spec 1.2)."""
    if texts is None:
        return None
    try:
        return [str(UUID(text)) for text in texts]
    except ValueError:
        raise BadInput("ids: every thread id must be a UUID.") from None


def _includes_ttl(request: Request) -> bool:
    names = {name.strip() for name in ",".join(request.query_params.getlist("include")).split(",")} - {""}
    if unknown := names - {"ttl"}:
        raise UnprocessableInput(f"Invalid include {', '.join(sorted(unknown))}: only ttl can be included.")
    return "ttl" in names
