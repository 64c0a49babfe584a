"""Whether the MCP servers that an agent mentions can be used (MDA 4.7)."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.agents.calls import Call, agent_uuid
from waystation.deepagents.agents.permissions import Level
from waystation.deepagents.files.definition import Definition, definition_of
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router
from waystation.timestamps import iso, now_us

__all__ = ["router"]

router = Router(tags=["Managed Deep Agents"])

_HEALTH = {
    "title": "DeepAgentHealth",
    "type": "object",
    "properties": {
        "agent_id": {"type": "string", "format": "uuid"},
        "checked_at": {"type": "string", "format": "date-time"},
        "mcp_check": {
            "type": "object",
            "properties": {
                "ok": {"type": "boolean"},
                "servers": {"type": "array", "items": {"type": "object"}},
            },
        },
    },
}


@router.get("/agents/{agent_id}/health", **operation("Try the MCP servers of an agent", answer=_HEALTH))
async def get_agent_health(request: Request, agent_id: str) -> Response:
    agent_id = agent_uuid(agent_id)
    call = await Call.of(request, "read", {"assistant_id": agent_id})
    agent, files = await call.load(agent_id, Level.READ)
    urls = list(_mentioned(definition_of(files)))
    servers = await call.server.mcp_servers.tools.health(agent["workspace"], urls)
    check = {"ok": all(server["ok"] for server in servers), "servers": servers}
    return json_response({"agent_id": agent_id, "checked_at": iso(now_us()), "mcp_check": check})


def _mentioned(definition: Definition) -> Iterator[str]:
    """The URLs of the MCP servers of the agent and its subagents."""
    for tools in (definition.tools, *(subagent.get("tools") for subagent in definition.subagents)):
        if tools is not None:
            yield from (tool["mcp_server_url"] for tool in tools["tools"])
