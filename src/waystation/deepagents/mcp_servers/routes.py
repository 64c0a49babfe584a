"""HTTP routes of MCP servers and their tools (MDA 13, 14), relative to the base path."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.errors import InvalidQuery, MissingField
from waystation.deepagents.identity import principal_of, require_for
from waystation.deepagents.mcp_servers.failures import ServerNotFound
from waystation.deepagents.mcp_servers.models import ServerCreate, ServerPatch
from waystation.deepagents.mcp_servers.servers import McpServers
from waystation.deepagents.mcp_servers.wire import SERVER_SCHEMA, TOOLS_SCHEMA, listing_to_wire, server_to_wire
from waystation.errors import UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.openapi import operation
from waystation.http.parameters import flag
from waystation.http.responses import empty, json_response
from waystation.http.router import Router

__all__ = ["Call", "router"]

router = Router(tags=["MCP servers"])

_USER = {"name": "X-Ls-User-Id", "in": "header", "schema": {"type": "string"}}

_TOOLS_QUERY: list[dict[str, Any]] = [
    {"name": "url", "in": "query", "required": True, "schema": {"type": "string", "format": "uri"}},
    {"name": "oauth_provider_id", "in": "query", "schema": {"type": "string"}},
    {"name": "force_refresh", "in": "query", "schema": {"type": "boolean", "default": False}},
    {"name": "ls_user_id", "in": "query", "schema": {"type": "string"}},
]


class Call(Struct, frozen=True):
    """Whose servers a request is about, after the project's handlers have been asked as well."""

    servers: McpServers
    workspace: str

    @classmethod
    async def of(cls, request: Request, action: str) -> Call:
        """To handlers, a server is part of the agents of its workspace: they let the `action` on ``assistants`` through or do not,
        while filters, of what agents are seen, say nothing of it. Raises AccessDenied, and what `allowed` does."""
        principal = principal_of(request)
        await allowed(request, "assistants", action, {"metadata": {}})
        return cls(request.app.state.server.mcp_servers, principal.workspace)

    async def row(self, server_id: str) -> dict[str, Any]:
        """Raises ServerNotFound."""
        return await self.servers.registry.get(self.workspace, _id(server_id))

    def answer(self, row: dict[str, Any], status: int = 200) -> Response:
        """A server, as the caller sees it."""
        return json_response(server_to_wire(row, self.servers.targets), status)


@router.get(
    "/mcp-servers",
    **operation("List MCP servers", answer={"type": "array", "items": SERVER_SCHEMA}, parameters=[_USER]),
)
async def list_mcp_servers(request: Request) -> Response:
    call = await Call.of(request, "search")
    require_for(request, request.headers.get("x-ls-user-id"))
    rows = await call.servers.registry.all_of(call.workspace)
    return json_response([server_to_wire(row, call.servers.targets) for row in rows])


@router.post("/mcp-servers", **operation("Register an MCP server", ServerCreate, SERVER_SCHEMA, status=201))
async def create_mcp_server(request: Request) -> Response:
    call = await Call.of(request, "create")
    body = await read_agent_body(request, ServerCreate)
    return call.answer(await call.servers.registry.create(call.workspace, body), 201)


@router.get("/mcp-servers/{mcp_server_id}", **operation("Get an MCP server", answer=SERVER_SCHEMA))
async def get_mcp_server(request: Request, mcp_server_id: str) -> Response:
    call = await Call.of(request, "read")
    return call.answer(await call.row(mcp_server_id))


@router.patch("/mcp-servers/{mcp_server_id}", **operation("Change an MCP server", ServerPatch, SERVER_SCHEMA))
async def update_mcp_server(request: Request, mcp_server_id: str) -> Response:
    call = await Call.of(request, "update")
    body = await read_agent_body(request, ServerPatch, nullable=("oauth_provider_id",))
    return call.answer(await call.servers.registry.update(call.workspace, _id(mcp_server_id), body))


@router.delete("/mcp-servers/{mcp_server_id}", **operation("Delete an MCP server", status=204))
async def delete_mcp_server(request: Request, mcp_server_id: str) -> Response:
    call = await Call.of(request, "delete")
    with suppress(ServerNotFound):  # what cannot be an id is that of no server, and deleting is idempotent
        await call.servers.registry.remove(call.workspace, _id(mcp_server_id))
    return empty()


@router.get("/mcp/tools", **operation("List the tools of an MCP server", answer=TOOLS_SCHEMA, parameters=_TOOLS_QUERY))
async def list_mcp_tools(request: Request) -> Response:
    call = await Call.of(request, "read")
    given = request.query_params
    require_for(request, given.get("ls_user_id"))
    url = given.get("url", "").strip()
    if not url:
        raise MissingField("url")
    listing = await call.servers.list_tools(
        call.workspace, url, force_refresh=_refresh(request), oauth_provider_id=given.get("oauth_provider_id") or None
    )
    return json_response(listing_to_wire(listing))


def _id(text: str) -> str:
    """Raises ServerNotFound for what cannot be the id of a server."""
    try:
        return str(UUID(text))
    except ValueError:
        raise ServerNotFound from None


def _refresh(request: Request) -> bool:
    try:
        return flag(request, "force_refresh")
    except UnprocessableInput as error:
        raise InvalidQuery(f"set force_refresh to true or false: {error.message}") from None
