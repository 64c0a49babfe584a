"""MCP servers and tools as JSON (MDA 13, 14)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from waystation.deepagents.identity import tenant_uuid
from waystation.deepagents.mcp_servers.failures import NotConnected
from waystation.deepagents.mcp_servers.listing import Listing
from waystation.deepagents.mcp_servers.targets import Targets, is_oauth
from waystation.timestamps import MICROSECONDS, iso

__all__ = ["PROVIDER_SCHEMA", "SERVER_SCHEMA", "SESSION_SCHEMA", "TOOLS_SCHEMA", "listing_to_wire", "server_to_wire"]

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_HEADER = {"type": "object", "properties": {"key": _TEXT, "value": _TEXT}}

SERVER_SCHEMA: dict[str, Any] = {
    "title": "McpServer",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "tenant_id": {"type": "string", "format": "uuid"},
        "name": _TEXT,
        "url": {"type": "string", "format": "uri"},
        "headers": {"type": "array", "items": _HEADER},
        "auth_type": {"enum": ["headers", "oauth", ""]},
        "oauth_provider_id": _TEXT_OR_NULL,
        "oauth_mode": {"enum": ["legacy_shared_provider", "per_user_dynamic_client", ""]},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "mcp_vendor_id": _TEXT_OR_NULL,
        "vendor_id": _TEXT_OR_NULL,
        "external_system_id": _TEXT_OR_NULL,
        "can_invoke": {"type": "boolean"},
    },
}

TOOLS_SCHEMA: dict[str, Any] = {
    "title": "ListMcpToolsResponse",
    "type": "object",
    "properties": {
        "tools": {
            "type": "array",
            "items": {
                "title": "McpTool",
                "type": "object",
                "properties": {
                    "name": _TEXT,
                    "description": _TEXT,
                    "inputSchema": {"type": "object"},
                    "annotations": {"type": "object"},
                },
            },
        },
        "cached": {"type": "boolean"},
        "fetched_at": {"type": "string", "format": "date-time"},
    },
}

PROVIDER_SCHEMA: dict[str, Any] = {
    "title": "RegisterMcpOAuthProviderResponse",
    "type": "object",
    "properties": {"oauth_provider_id": _TEXT},
}


SESSION_SCHEMA: dict[str, Any] = {
    "title": "AuthSession",
    "type": "object",
    "properties": {
        "id": _TEXT,
        "provider_id": _TEXT,
        "status": {"enum": ["PENDING", "COMPLETED", "CONNECTION_REQUIRED", "TOKEN_EXPIRED"]},
        "verification_url": {"type": "string", "format": "uri"},
        "token": _TEXT,
    },
}


def server_to_wire(row: Mapping[str, Any], targets: Targets) -> dict[str, Any]:
    """A server as a caller sees it who belongs to its workspace. Its credentials are there if it can be invoked with them; if not,
    `can_invoke` says so."""
    shown = {
        "id": row["server_id"],
        "tenant_id": tenant_uuid(row["workspace"]),
        "name": row["name"],
        "url": row["url"],
        "auth_type": row["auth_type"],
        "oauth_provider_id": row["oauth_provider_id"],
        "oauth_mode": row["oauth_mode"],
        "created_at": iso(row["created_at"]),
        "updated_at": iso(row["updated_at"]),
        "mcp_vendor_id": None,
        "vendor_id": row["vendor_id"],
        "external_system_id": row["external_system_id"],
    }
    if is_oauth(row):  # nobody can be signed in yet
        return {**shown, "can_invoke": False}
    try:
        headers = targets.headers(row)
    except NotConnected:
        return {**shown, "can_invoke": False}
    return {**shown, "headers": [{"key": name, "value": value} for name, value in headers]}


def listing_to_wire(listing: Listing) -> dict[str, Any]:
    """`fetched_at` is in whole seconds, with a ``Z``, unlike other times."""
    fetched_at = datetime.fromtimestamp(listing.fetched_at // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"tools": listing.tools, "cached": listing.cached, "fetched_at": fetched_at}
