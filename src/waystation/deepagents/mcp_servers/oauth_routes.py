"""HTTP routes of sign-in to MCP servers by OAuth (MDA 15), which this version does not offer: what is right is answered 503."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.errors import InvalidBody
from waystation.deepagents.identity import require_for
from waystation.deepagents.mcp_servers.failures import OAuthUnavailable, SessionNotFound
from waystation.deepagents.mcp_servers.models import AuthSessionCreate, OAuthProviderRequest
from waystation.deepagents.mcp_servers.routes import Call
from waystation.deepagents.mcp_servers.targets import is_oauth
from waystation.deepagents.mcp_servers.wire import PROVIDER_SCHEMA, SESSION_SCHEMA
from waystation.http.openapi import operation
from waystation.http.router import Router

__all__ = ["router"]

router = Router(tags=["MCP servers"])


@router.post(
    "/mcp-servers/{mcp_server_id}/oauth-provider",
    **operation("Register the caller with an MCP server's sign-in", OAuthProviderRequest, PROVIDER_SCHEMA),
)
async def register_mcp_oauth_provider(request: Request, mcp_server_id: str) -> Response:
    call = await Call.of(request, "read")
    body = await read_agent_body(request, OAuthProviderRequest, required=False)
    require_for(request, body.ls_user_id)
    if not is_oauth(await call.row(mcp_server_id)):
        raise InvalidBody("use a server with 'auth_type' 'oauth': this one has headers, and nobody signs in to it")
    raise OAuthUnavailable


@router.post("/auth-sessions", **operation("Begin to sign in", AuthSessionCreate, SESSION_SCHEMA, status=201))
async def create_auth_session(request: Request) -> Response:
    await Call.of(request, "read")
    await read_agent_body(request, AuthSessionCreate)
    raise OAuthUnavailable


@router.get("/auth-sessions/{session_id}", **operation("See how a sign-in goes", answer=SESSION_SCHEMA))
async def get_auth_session(request: Request, session_id: str) -> Response:
    await Call.of(request, "read")
    try:
        UUID(session_id)
    except ValueError:
        raise SessionNotFound from None
    raise OAuthUnavailable
