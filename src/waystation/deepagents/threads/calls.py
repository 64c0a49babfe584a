"""A request about threads of agents: who sent it, and what it may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.deepagents.errors import ThreadNotFound
from waystation.deepagents.identity import Principal, principal_of
from waystation.http.authorization import allowed, metadata_of

if TYPE_CHECKING:
    from waystation.server import Server

__all__ = ["ThreadCall", "thread_uuid"]


class ThreadCall(Struct, frozen=True):
    """Who asks, after the project's handlers have been asked as well."""

    server: Server
    principal: Principal
    access: Access
    """To the principal's own threads of agents and to no others."""
    metadata: dict[str, Any]
    """Of the event's value, as the handlers have left it."""

    @classmethod
    async def of(cls, request: Request, action: str, value: Mapping[str, Any]) -> ThreadCall:
        """Raises AccessDenied for another workspace, and what `waystation.http.authorization.allowed` does."""
        principal = principal_of(request)
        asked = {"metadata": {}, **value}
        access = await allowed(request, "threads", action, asked)
        return cls(request.app.state.server, principal, access.owning(principal.user_id), metadata_of(asked))


def thread_uuid(text: str) -> str:
    """The id in a path. What cannot be one is the id of no thread: raises ThreadNotFound."""
    try:
        return str(UUID(text))
    except ValueError:
        raise ThreadNotFound from None
