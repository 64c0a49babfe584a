"""The two routes by which the vendor's command line deploys an agent again (MDA 7, "Hub compatibility")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.agents.calls import Call, agent_uuid
from waystation.deepagents.agents.permissions import Level
from waystation.deepagents.agents.wire import file_map
from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.errors import StaleRevision
from waystation.deepagents.files.changes import TreeChanges
from waystation.deepagents.files.models import FileEntry, FileMap, OptionalFileMap
from waystation.deepagents.files.tree import Files
from waystation.http.bodies import Body
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router

__all__ = ["HUB", "router"]

HUB = "/v1/platform/hub"

router = Router(tags=["Managed Deep Agents"])

_TEXT = {"type": "string"}
_DIRECTORY = {
    "title": "HubDirectory",
    "type": "object",
    "properties": {"commit_hash": _TEXT, "files": {"type": "object"}},
}
_COMMITTED = {"title": "HubCommit", "type": "object", "properties": {"commit_hash": _TEXT}}


class DirectoryCommit(Body):
    """Files to store; those that are null are deleted."""

    files: OptionalFileMap
    parent_commit: str | None = None


@router.get(f"{HUB}/repos/-/{{agent_id}}/directories", **operation("Get an agent's files", answer=_DIRECTORY))
async def get_hub_directory(request: Request, agent_id: str) -> Response:
    agent_id = agent_uuid(agent_id)
    call = await Call.of(request, "read", {"assistant_id": agent_id})
    row, files = await call.load(agent_id, Level.READ)
    return json_response({"commit_hash": row["revision"], "files": file_map(files)})


@router.post(
    f"{HUB}/repos/-/{{agent_id}}/directories/commits",
    **operation("Change an agent's files", DirectoryCommit, _COMMITTED, status=201),
)
async def create_hub_commit(request: Request, agent_id: str) -> Response:
    agent_id = agent_uuid(agent_id)
    body = await read_agent_body(request, DirectoryCommit)
    call = await Call.of(request, "update", {"assistant_id": agent_id})
    stored: FileMap = {path: entry for path, entry in body.files.items() if isinstance(entry, FileEntry)}
    tree = TreeChanges(files=stored, deleted_paths=[path for path in body.files if path not in stored])

    def change(before: dict[str, Any], files: Files) -> tuple[Mapping[str, Any], Files | None]:
        if body.parent_commit is not None and body.parent_commit != before["revision"]:
            raise StaleRevision
        return {}, tree.applied_to(files)

    row, _ = await call.change(agent_id, change)
    return json_response({"commit_hash": row["revision"]}, 201)
