"""Who asks: what the routes of MCP servers need to know of a request's caller."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from starlette.requests import Request

from waystation.http.authorization import caller_of

__all__ = ["Asker", "asker_of", "tenant_id_of"]

TENANTS = UUID("5f6c1b0e-3f7e-4a0e-9d52-6f0f3c0f8f11")
"""The namespace of the ids that workspaces have on the wire, where they must be UUIDs (section 2)."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The workspace of a request, and the user if the request is one's."""

    workspace: str
    user_id: str | None


def asker_of(request: Request) -> Asker:
    """The one who sent `request`."""
    access = caller_of(request).access
    return Asker(access.home, access.user_id)


def tenant_id_of(workspace: str) -> str:
    """A workspace's ``tenant_id``: its name where that is a UUID, else one that is made from it."""
    try:
        return str(UUID(workspace))
    except ValueError:
        return str(uuid5(TENANTS, workspace))
