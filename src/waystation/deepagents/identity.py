"""Who calls: the API key's workspace and user, as this API names them (MDA 2)."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.auth.members import named_uuid, user_uuid
from waystation.deepagents.errors import AccessDenied
from waystation.http.authorization import caller_of

__all__ = ["LOCAL_USER", "Principal", "principal_of", "principal_with", "require_for", "tenant_uuid"]

TENANT = "x-tenant-id"

LOCAL_USER = "local"
"""Everybody, on a server without authentication."""

_WORKSPACES = UUID("5f6c1b0e-3f7e-4a0e-9d52-6f0f3c0f8f11")


class Principal(Struct, frozen=True):
    """A user in a workspace."""

    workspace: str
    tenant_id: str
    """The workspace as a UUID."""
    user_id: str
    """A UUID. The services of a workspace, whose keys come and go, are one user."""


def principal_of(request: Request) -> Principal:
    """Who sent the request. Raises AccessDenied for an ``X-Tenant-Id`` that is not the caller's workspace."""
    caller = caller_of(request)
    workspace = caller.access.home
    identity = None if caller.described is None else caller.described.identity
    found = principal_with(caller.access, identity)
    asked = request.headers.get(TENANT, "").strip()
    if asked and asked.lower() != found.tenant_id and asked != workspace:
        raise AccessDenied
    return found


def principal_with(access: Access, identity: str | None) -> Principal:
    """Who has this `access`; `identity` is what authentication has called the caller, None without authentication."""
    return Principal(access.home, tenant_uuid(access.home), _user_id(access, identity))


def require_for(request: Request, user: str | None) -> None:
    """Raises AccessDenied if the request is for the `user` and its caller is another one. A service speaks for anybody, and where
    there is no authentication everybody is the same."""
    named = caller_of(request).access.user_id
    if user and named is not None and user_uuid(user) != user_uuid(named):
        raise AccessDenied


def tenant_uuid(workspace: str) -> str:
    """The id of a workspace, which may have one for a name."""
    return named_uuid(_WORKSPACES, workspace)


def _user_id(access: Access, identity: str | None) -> str:
    if access.member is not None:
        return access.member
    if access.user_id is not None:
        return user_uuid(access.user_id)
    return user_uuid(LOCAL_USER if identity is None else identity)
