"""HTTP routes of threads of agents (MDA 9), relative to the base path."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from waystation.deepagents.agents.calls import Call
from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.error_bodies import code_and_detail
from waystation.deepagents.errors import AgentNotFound, UnknownAgent
from waystation.deepagents.threads import queries, schemas, wire
from waystation.deepagents.threads.calls import ThreadCall, thread_uuid
from waystation.deepagents.threads.listing import agent_id_of, page_of, threads_page
from waystation.deepagents.threads.models import BulkUpdate, ThreadCreate, ThreadUpdate
from waystation.deepagents.threads.searching import count_threads, search_threads
from waystation.errors import NotFound, WaystationError
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response
from waystation.http.router import Router
from waystation.reserved import strip_metadata
from waystation.threads import deletion
from waystation.threads.models import ThreadCount, ThreadSearch
from waystation.threads.ttl import default_ttl
from waystation.timestamps import now_us

__all__ = ["router"]

router = Router(tags=["Managed Deep Agents"])


@router.get("/threads", **operation("List an agent's threads", answer=schemas.LIST, parameters=schemas.LISTING))
async def list_agent_threads(request: Request) -> Response:
    page = page_of(request)
    call = await ThreadCall.of(request, "search", ThreadCount(status=page.status).asked(limit=page.size))
    rows = await call.server.db.read(threads_page, page, call.principal, call.access)
    shown = rows[: page.size]
    cursor = page.cursor(shown[-1]) if len(rows) > page.size else None
    return json_response({"threads": [wire.summary(row) for row in shown], "next_cursor": cursor})


@router.post("/threads", **operation("Create a thread of an agent", ThreadCreate, schemas.THREAD, status=201))
async def create_agent_thread(request: Request) -> Response:
    body = await read_agent_body(request, ThreadCreate)
    thread_id = str(uuid7()) if body.thread_id is None else body.thread_id
    call = await ThreadCall.of(request, "create", body.asked(thread_id))
    agent = await Call.of(request, "read", {"assistant_id": body.agent_id})
    ttl = default_ttl(call.server.config)
    try:
        row = await call.server.db.write(
            queries.create,
            thread_id,
            body.agent_id,
            body,
            call.metadata,
            call.principal,
            call.access,
            agent.access,
            ttl,
            now_us(),
        )
    except AgentNotFound:
        raise UnknownAgent from None
    return json_response(wire.thread(row), 201)


@router.post("/threads/search", **operation("Search threads of agents", ThreadSearch))
async def find_agent_threads(request: Request) -> Response:
    return await search_threads(request)


@router.get(
    "/threads/count",
    **operation("Count the threads that require attention", answer=schemas.COUNT, parameters=[schemas.AGENT_ID]),
)
async def count_agent_threads(request: Request) -> Response:
    agent_id = agent_id_of(request)
    call = await ThreadCall.of(request, "search", ThreadCount().asked())
    count = await call.server.db.read(queries.attention_count, agent_id, call.principal, call.access)
    return json_response({"attention_count": count})


@router.post("/threads/count", **operation("Count the threads of agents that a search would find", ThreadCount))
async def count_found_agent_threads(request: Request) -> Response:
    return await count_threads(request)


@router.post("/threads/bulk-modify", **operation("Change several threads", BulkUpdate, schemas.RESULTS))
async def update_agent_threads(request: Request) -> Response:
    body = await read_agent_body(request, BulkUpdate)
    return json_response({"results": [await _result(request, text, body.data) for text in body.thread_ids]})


@router.get("/threads/{thread_id}", **operation("Get a thread of an agent", answer=schemas.WHOLE))
async def get_agent_thread(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    call = await ThreadCall.of(request, "read", {"thread_id": thread_id})
    return json_response(wire.whole(await call.server.db.read(queries.find_whole, thread_id, call.access)))


@router.patch("/threads/{thread_id}", **operation("Change a thread of an agent", ThreadUpdate, schemas.UPDATED))
async def update_agent_thread(request: Request, thread_id: str) -> Response:
    body = await read_agent_body(request, ThreadUpdate, nullable=("title",))
    return json_response(await _updated(request, thread_id, body))


@router.delete("/threads/{thread_id}", **operation("Delete a thread of an agent", status=204))
async def delete_agent_thread(request: Request, thread_id: str) -> Response:
    try:
        thread_id = thread_uuid(thread_id)
        call = await ThreadCall.of(request, "delete", {"thread_id": thread_id})
        await deletion.delete_thread(call.server, call.access, thread_id)
    except NotFound:  # there is nothing to delete, which is what the caller wants
        pass
    return empty()


async def _updated(request: Request, thread_id: str, body: ThreadUpdate) -> dict[str, Any]:
    """The thread as it is after a change. Raises ThreadNotFound, UnprocessableInput, and what asking the handlers does."""
    thread_id = thread_uuid(thread_id)
    metadata = strip_metadata(body.metadata)
    call = await ThreadCall.of(request, "update", {"thread_id": thread_id, "metadata": metadata})
    row = await call.server.db.write(queries.update, thread_id, body, call.metadata, now_us(), call.access)
    return wire.updated(row)


async def _result(request: Request, thread_id: str, body: ThreadUpdate) -> dict[str, Any]:
    """What has come of one of several changes."""
    try:
        await _updated(request, thread_id, body)
    except (WaystationError, HTTPException) as error:
        code, detail = code_and_detail(request, error)
        return {"id": thread_id, "status": "failure", "error_code": code, "message": detail}
    return {"id": thread_id, "status": "success"}
