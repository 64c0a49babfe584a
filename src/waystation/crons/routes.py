"""HTTP routes of crons (spec 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from waystation.assistants import ask_for, assistant_id_of
from waystation.auth.access import Access
from waystation.auth.caller import Caller
from waystation.auth.owner import kept
from waystation.crons import queries
from waystation.crons.content import Change, change_of, changed, new_row
from waystation.crons.models import CronCount, CronCreate, CronPatch, CronSearch, ThreadCronCreate
from waystation.crons.permission import change_allowed, creation_allowed, search_allowed
from waystation.crons.wire import FIELDS, SCHEMA, cron_to_wire
from waystation.errors import NotFound, UnprocessableInput
from waystation.http.authorization import allowed, caller_of
from waystation.http.bodies import read_body, require_uuid
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response, pagination_headers
from waystation.http.router import Router
from waystation.storage.sealing import CONTEXT_KEY, current_context
from waystation.threads import require_thread
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.server import Server

__all__ = ["router"]

router = Router(tags=["Crons"])


@router.post("/runs/crons", **operation("Create a cron whose every run has a thread of its own", CronCreate, SCHEMA))
async def create_cron(request: Request) -> Response:
    return await _create(request, await read_body(request, CronCreate), None)


@router.post(
    "/threads/{thread_id}/runs/crons", **operation("Create a cron that runs on a thread", ThreadCronCreate, SCHEMA)
)
async def create_thread_cron(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    return await _create(request, await read_body(request, ThreadCronCreate), thread_id)


async def _create(request: Request, body: CronCreate | ThreadCronCreate, thread_id: str | None) -> Response:
    server, caller = _server(request), caller_of(request)
    server.webhooks.check(body.webhook)
    row = new_row(
        body,
        cron_id=str(uuid7()),
        assistant_id=_assistant_id(server, body.assistant_id),
        thread_id=thread_id,
        user_id=caller.access.user_id,
        owner=_owner(caller),
        now=now_us(),
    )
    access, row = await creation_allowed(request, row)
    await server.db.write(_store, row, access)
    server.scheduler.wake()
    return json_response(cron_to_wire(row))


@router.post("/runs/crons/search", **operation("Search crons", CronSearch, {"type": "array", "items": SCHEMA}))
async def search_crons(request: Request) -> Response:
    body = await read_body(request, CronSearch)
    access, filters = await search_allowed(request, _filters(body), body.limit, body.offset)
    rows = await _server(request).db.read(
        queries.search,
        filters,
        body.sort_by or "created_at",
        body.sort_order or "desc",
        body.limit,
        body.offset,
        access,
    )
    found = [cron_to_wire(row, body.select or FIELDS) for row in rows[: body.limit]]
    return json_response(found, headers=pagination_headers(body.offset, body.limit, len(rows)))


@router.post("/runs/crons/count", **operation("Count crons", CronCount, {"type": "integer"}))
async def count_crons(request: Request) -> Response:
    body = await read_body(request, CronCount)
    access, filters = await search_allowed(request, _filters(body), 0, 0)
    return json_response(await _server(request).db.read(queries.count, filters, access))


@router.get("/runs/crons/{cron_id}", **operation("Get a cron", answer=SCHEMA))
async def get_cron(request: Request, cron_id: str) -> Response:
    cron_id = require_uuid(cron_id, "cron_id")
    access = await allowed(request, "crons", "read", {"cron_id": cron_id})
    return json_response(cron_to_wire(await _server(request).db.read(queries.get, cron_id, access)))


@router.patch("/runs/crons/{cron_id}", **operation("Change a cron", CronPatch, SCHEMA))
async def patch_cron(request: Request, cron_id: str) -> Response:
    server = _server(request)
    cron_id = require_uuid(cron_id, "cron_id")
    body = await read_body(request, CronPatch)
    server.webhooks.check(body.webhook)
    access, change = await change_allowed(request, cron_id, change_of(body))
    row = await server.db.write(_patch, cron_id, change, now_us(), access)
    server.scheduler.wake()
    return json_response(cron_to_wire(row))


@router.delete("/runs/crons/{cron_id}", **operation("Delete a cron", status=204))
async def delete_cron(request: Request, cron_id: str) -> Response:
    cron_id = require_uuid(cron_id, "cron_id")
    access = await allowed(request, "crons", "delete", {"cron_id": cron_id})
    await _server(request).db.write(queries.remove, cron_id, access)
    return empty()


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _assistant_id(server: Server, text: str) -> str:
    """The assistant's id, or that of the assistant of the graph `text`. Raises NotFound, also for what can be neither."""
    try:
        return assistant_id_of(text, server.graphs)
    except UnprocessableInput:
        raise NotFound(f"There is no assistant {text[:100]!r}.") from None


def _owner(caller: Caller) -> dict[str, Any]:
    """What is kept of the caller, with what the runs of the cron are to be encrypted with."""
    context = current_context()
    return {**kept(caller), CONTEXT_KEY: dict(context)} if context else kept(caller)


def _store(conn: Connection, row: dict[str, Any], access: Access) -> None:
    """Raises NotFound for an assistant or a thread that the caller cannot see, or that are of two workspaces: the cron fires
    in one."""
    ask_for(conn, access, row["assistant_id"])()
    if row["thread_id"] is not None:
        require_thread(conn, row["thread_id"], access)
    workspace = queries.workspace_of(conn, row) or access.home
    if workspace != access.workspace:
        ask_for(conn, replace(access, workspace=workspace), row["assistant_id"])()
    queries.create(conn, {**row, "workspace": workspace})


def _patch(conn: Connection, cron_id: str, change: Change, now: int, access: Access) -> dict[str, Any]:
    row = queries.lock(conn, cron_id, access)
    changes = changed(row, change, now)
    queries.update_columns(conn, cron_id, changes)
    return {**row, **changes}


def _filters(body: CronCount) -> queries.Filters:
    return queries.Filters(
        assistant_id=None if body.assistant_id is None else require_uuid(body.assistant_id, "assistant_id"),
        thread_id=None if body.thread_id is None else require_uuid(body.thread_id, "thread_id"),
        enabled=body.enabled if isinstance(body, CronSearch) else None,
        metadata=body.metadata,
    )
