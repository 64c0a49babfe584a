"""HTTP routes of an agent's revisions, which the API that this follows does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.agents import queries, wire
from waystation.deepagents.agents.calls import Call, agent_uuid
from waystation.deepagents.agents.listing import LARGEST_PAGE
from waystation.deepagents.agents.permissions import Level
from waystation.deepagents.agents.schemas import AGENT, PAGING, REVISION_LIST
from waystation.deepagents.errors import InvalidQuery, RevisionNotFound
from waystation.deepagents.files.tree import Files
from waystation.deepagents.paging import page_size
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router

__all__ = ["router"]

router = Router(tags=["Managed Deep Agents"])


@router.get(
    "/agents/{agent_id}/revisions",
    **operation("List the revisions of an agent", answer=REVISION_LIST, parameters=PAGING),
)
async def list_agent_revisions(request: Request, agent_id: str) -> Response:
    call, agent = await _reading(request, agent_id)
    size, before = page_size(request, LARGEST_PAGE), _before(request)
    rows = await call.server.db.read(queries.list_revisions, agent["agent_id"], before, size)
    items = [wire.revision(row, agent["revision_number"]) for row in rows[:size]]
    cursor = str(items[-1]["number"]) if len(rows) > size else None
    return json_response({"items": items, "next_cursor": cursor})


@router.get(
    "/agents/{agent_id}/revisions/{revision}",
    **operation("Get a revision with its files", answer=REVISION_LIST["properties"]["items"]["items"]),
)
async def get_agent_revision(request: Request, agent_id: str, revision: str) -> Response:
    call, agent = await _reading(request, agent_id)
    found = await call.server.db.read(queries.load_revision, agent["agent_id"], revision)
    if found is None:
        raise RevisionNotFound
    row, files = found
    return json_response({**wire.revision(row, agent["revision_number"]), "files": wire.file_map(files)})


@router.post(
    "/agents/{agent_id}/revisions/{revision}/restore", **operation("Make a revision the newest one", answer=AGENT)
)
async def restore_agent_revision(request: Request, agent_id: str, revision: str) -> Response:
    agent_id = agent_uuid(agent_id)
    call = await Call.of(request, "update", {"assistant_id": agent_id})
    await call.require(agent_id, Level.WRITE)
    found = await call.server.db.read(queries.load_revision, agent_id, revision)
    if found is None:
        raise RevisionNotFound

    def change(_before: dict[str, Any], _files: Files) -> tuple[Mapping[str, Any], Files | None]:
        return {}, found[1]

    row, files = await call.change(agent_id, change)
    return json_response(wire.agent(row, files, call.principal, include_files=False))


async def _reading(request: Request, agent_id: str) -> tuple[Call, dict[str, Any]]:
    agent_id = agent_uuid(agent_id)
    call = await Call.of(request, "read", {"assistant_id": agent_id})
    return call, await call.require(agent_id, Level.READ)


def _before(request: Request) -> int | None:
    text = request.query_params.get("cursor")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidQuery("send the next_cursor of a page as it is: the cursor cannot be read")
    return int(text)
