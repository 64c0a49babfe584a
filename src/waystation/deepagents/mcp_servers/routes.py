"""HTTP routes of MCP servers and their tools (sections 13 to 15), below ``/v1/deepagents``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.mcp_servers.answers import answered
from waystation.deepagents.mcp_servers.asker import Asker, asker_of
from waystation.deepagents.mcp_servers.failures import MissingField, OAuthUnavailable, ServerNotFound
from waystation.deepagents.mcp_servers.models import OAuthProviderRequest, ServerCreate, ServerPatch, read
from waystation.deepagents.mcp_servers.servers import McpServers
from waystation.deepagents.mcp_servers.targets import is_oauth
from waystation.deepagents.mcp_servers.wire import (
    PROVIDER_SCHEMA,
    SERVER_SCHEMA,
    TOOLS_SCHEMA,
    listing_to_wire,
    server_to_wire,
)
from waystation.errors import BadInput, Forbidden, UnprocessableInput
from waystation.http.openapi import operation
from waystation.http.parameters import flag
from waystation.http.responses import empty, json_response
from waystation.http.router import Router

__all__ = ["router"]

router = Router(tags=["MCP servers"])

_USER = {"name": "X-Ls-User-Id", "in": "header", "schema": {"type": "string"}}

_TOOLS_QUERY: list[dict[str, Any]] = [
    {"name": "url", "in": "query", "required": True, "schema": {"type": "string", "format": "uri"}},
    {"name": "oauth_provider_id", "in": "query", "schema": {"type": "string"}},
    {"name": "force_refresh", "in": "query", "schema": {"type": "boolean", "default": False}},
    {"name": "ls_user_id", "in": "query", "schema": {"type": "string"}},
]


@router.get(
    "/mcp-servers",
    **operation("List MCP servers", answer={"type": "array", "items": SERVER_SCHEMA}, parameters=[_USER]),
)
@answered
async def list_mcp_servers(request: Request) -> Response:
    asker = _named(asker_of(request), request.headers.get("x-ls-user-id"))
    servers = _servers(request)
    rows = await servers.registry.all_of(asker.workspace)
    return json_response([server_to_wire(row, servers.targets) for row in rows])


@router.post("/mcp-servers", **operation("Register an MCP server", ServerCreate, SERVER_SCHEMA, status=201))
@answered
async def create_mcp_server(request: Request) -> Response:
    asker, servers = asker_of(request), _servers(request)
    row = await servers.registry.create(asker.workspace, await read(request, ServerCreate))
    return json_response(server_to_wire(row, servers.targets), 201)


@router.get("/mcp-servers/{mcp_server_id}", **operation("Get an MCP server", answer=SERVER_SCHEMA))
@answered
async def get_mcp_server(request: Request, mcp_server_id: str) -> Response:
    return json_response(server_to_wire(await _row(request, mcp_server_id), _servers(request).targets))


@router.patch("/mcp-servers/{mcp_server_id}", **operation("Change an MCP server", ServerPatch, SERVER_SCHEMA))
@answered
async def update_mcp_server(request: Request, mcp_server_id: str) -> Response:
    asker, servers = asker_of(request), _servers(request)
    body = await read(request, ServerPatch)
    row = await servers.registry.update(asker.workspace, _id(mcp_server_id), body)
    return json_response(server_to_wire(row, servers.targets))


@router.delete("/mcp-servers/{mcp_server_id}", **operation("Delete an MCP server", status=204))
@answered
async def delete_mcp_server(request: Request, mcp_server_id: str) -> Response:
    await _servers(request).registry.remove(asker_of(request).workspace, _id(mcp_server_id))
    return empty()


@router.post(
    "/mcp-servers/{mcp_server_id}/oauth-provider",
    **operation("Register the caller with an MCP server's sign-in", OAuthProviderRequest, PROVIDER_SCHEMA),
)
@answered
async def register_mcp_oauth_provider(request: Request, mcp_server_id: str) -> Response:
    body = await read(request, OAuthProviderRequest)
    _named(asker_of(request), body.ls_user_id)
    row = await _row(request, mcp_server_id)
    if not is_oauth(row):
        raise BadInput("Use a server with 'auth_type' 'oauth': this one has headers, and nobody signs in to it.")
    raise OAuthUnavailable


@router.get("/mcp/tools", **operation("List the tools of an MCP server", answer=TOOLS_SCHEMA, parameters=_TOOLS_QUERY))
@answered
async def list_mcp_tools(request: Request) -> Response:
    given = request.query_params
    asker = _named(asker_of(request), given.get("ls_user_id"))
    url = given.get("url", "").strip()
    if not url:
        raise MissingField("Set the query parameter 'url' to the URL of a registered MCP server: it is required.")
    listing = await _servers(request).list_tools(
        asker.workspace, url, force_refresh=_refresh(request), oauth_provider_id=given.get("oauth_provider_id") or None
    )
    return json_response(listing_to_wire(listing))


def _servers(request: Request) -> McpServers:
    servers: McpServers = request.app.state.server.mcp_servers
    return servers


async def _row(request: Request, text: str) -> dict[str, Any]:
    return await _servers(request).registry.get(asker_of(request).workspace, _id(text))


def _id(text: str) -> str:
    """Raises ServerNotFound for what cannot be the id of a server."""
    try:
        return str(UUID(text))
    except ValueError:
        raise ServerNotFound from None


def _named(asker: Asker, user_id: str | None) -> Asker:
    """The user that a request is for. Only a service may name another one than itself. Raises Forbidden."""
    if not user_id:
        return asker
    if asker.user_id is not None and asker.user_id != user_id:
        raise Forbidden
    return Asker(asker.workspace, user_id)


def _refresh(request: Request) -> bool:
    try:
        return flag(request, "force_refresh")
    except UnprocessableInput as error:
        raise BadInput(error.message) from None
