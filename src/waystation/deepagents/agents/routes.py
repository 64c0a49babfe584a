"""HTTP routes of agents (MDA 4), relative to the base path."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from waystation.deepagents.agents import queries, wire
from waystation.deepagents.agents.calls import ATTEMPTS, Call, agent_uuid, checked_commit
from waystation.deepagents.agents.listing import agents_page, page_of
from waystation.deepagents.agents.models import AgentClone, AgentCreate, AgentUpdate
from waystation.deepagents.agents.permissions import Level, new_permissions, require_owner
from waystation.deepagents.agents.schemas import AGENT, AGENT_LIST, INCLUDE_FILES, LISTING, TIMEZONE
from waystation.deepagents.agents.settings import CLONED, given_timezone, new_settings, require_model, updated_settings
from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.errors import AgentNotFound, StaleRevision
from waystation.deepagents.files.tree import Files
from waystation.deepagents.timezone import DEFAULT
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response
from waystation.http.router import Router
from waystation.timestamps import now_us

__all__ = ["router"]

router = Router(tags=["Managed Deep Agents"])

_WRITING = [INCLUDE_FILES, TIMEZONE]


@router.get("/agents", **operation("List agents", answer=AGENT_LIST, parameters=LISTING))
async def list_agents(request: Request) -> Response:
    page = page_of(request)
    call = await Call.of(request, "search", {"name": page.name, "limit": page.size})
    rows = await call.server.db.read(agents_page, page, call.principal, call.access)
    shown = rows[: page.size]
    cursor = page.cursor(shown[-1]) if len(rows) > page.size else None
    return json_response({"items": [wire.summary(row, call.principal) for row in shown], "next_cursor": cursor})


@router.post("/agents", **operation("Create an agent", AgentCreate, AGENT, status=201, parameters=_WRITING))
async def create_agent(request: Request) -> Response:
    body = await read_agent_body(request, AgentCreate)
    agent_id = str(uuid7())
    call = await Call.of(request, "create", {"assistant_id": agent_id, "name": body.name})
    require_model(body, call.models)
    files = await asyncio.to_thread(body.tree_changes.applied_to, {})
    commit = await asyncio.to_thread(checked_commit, files, call.models)
    row = _new_row(call, agent_id, body.name, new_settings(body, given_timezone(request)))
    return _answer(request, call, await call.server.db.write(queries.create, row, commit), files, 201)


@router.get("/agents/{agent_id}", **operation("Get an agent", answer=AGENT, parameters=[INCLUDE_FILES]))
async def get_agent(request: Request, agent_id: str) -> Response:
    agent_id = agent_uuid(agent_id)
    call = await Call.of(request, "read", {"assistant_id": agent_id})
    return _answer(request, call, *await call.load(agent_id, Level.READ))


@router.patch("/agents/{agent_id}", **operation("Change an agent", AgentUpdate, AGENT, parameters=_WRITING))
async def update_agent(request: Request, agent_id: str) -> Response:
    agent_id = agent_uuid(agent_id)
    body = await read_agent_body(request, AgentUpdate)
    call = await Call.of(request, "update", {"assistant_id": agent_id, "name": body.name})
    tree, timezone = body.tree_changes, given_timezone(request)

    def change(before: dict[str, Any], files: Files) -> tuple[Mapping[str, Any], Files | None]:
        if body.permissions is not None:
            require_owner(before, call.principal)
        require_model(body, call.models)
        changes: dict[str, Any] = {"settings": updated_settings(before["settings"], body, timezone)}
        if body.name is not None:
            changes["name"] = body.name
        return changes, None if tree.none else tree.applied_to(files)

    return _answer(request, call, *await call.change(agent_id, change))


@router.delete("/agents/{agent_id}", **operation("Delete an agent", status=204))
async def delete_agent(request: Request, agent_id: str) -> Response:
    try:
        agent_id = agent_uuid(agent_id)
    except AgentNotFound:  # there is nothing to delete, which is what the caller wants
        agent_id = ""
    call = await Call.of(request, "delete", {"assistant_id": agent_id})
    await call.server.db.write(queries.remove, agent_id, call.principal, call.access)
    return empty()


@router.post(
    "/agents/{agent_id}/clone", **operation("Copy an agent", AgentClone, AGENT, status=201, parameters=_WRITING)
)
async def clone_agent(request: Request, agent_id: str) -> Response:
    agent_id = agent_uuid(agent_id)
    body = await read_agent_body(request, AgentClone, required=False)
    reading = await Call.of(request, "read", {"assistant_id": agent_id})
    copy_id = str(uuid7())
    for _ in range(ATTEMPTS):
        source, files = await reading.load(agent_id, Level.READ)
        name = body.name or f"{source['name']} (copy)"
        call = await Call.of(request, "create", {"assistant_id": copy_id, "name": name})
        settings = {
            **{key: source["settings"][key] for key in CLONED if key in source["settings"]},
            "permissions": new_permissions(body.permissions),
            "user_timezone": given_timezone(request) or DEFAULT,
        }
        row = _new_row(call, copy_id, name, settings)
        stored = await call.server.db.write(queries.clone, source, row, queries.Commit.of(files))
        if stored is not None:
            return _answer(request, call, stored, files, 201)
    raise StaleRevision


def _new_row(call: Call, agent_id: str, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    now = now_us()
    return {
        "agent_id": agent_id,
        "workspace": call.principal.workspace,
        "owner_id": call.principal.user_id,
        "name": name,
        "settings": settings,
        "metadata": dict(call.metadata),
        "created_at": now,
        "updated_at": now,
    }


def _answer(request: Request, call: Call, row: Mapping[str, Any], files: Files, status: int = 200) -> Response:
    include_files = request.query_params.get("include_files", "").lower() in ("true", "1")
    return json_response(wire.agent(row, files, call.principal, include_files=include_files), status)
