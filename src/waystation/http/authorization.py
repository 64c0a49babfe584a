"""What the caller of a request may do: every route asks before it does anything (spec 18.4, 18.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from waystation.auth.access import Access, Resource
from waystation.auth.caller import CALLER, INTERNAL, Caller

__all__ = ["access_of", "allowed", "asks_about", "caller_of", "metadata_of"]


def caller_of(request: Request) -> Caller:
    """Who sent the request. Raises RuntimeError for a request that was to be authenticated and was not."""
    caller: Caller | None = request.scope.get(CALLER)
    if caller is not None:
        return caller
    if getattr(request.app.state.server, "authentication", None) is not None:
        raise RuntimeError("A request has come around the authentication.")
    return INTERNAL


def access_of(request: Request) -> Access:
    """Who asks, before any handler was asked: enough for a route that is about no resource of anybody. Without
    authentication everyone may see everything."""
    return caller_of(request).access


def asks_about(request: Request, resource: Resource, action: str) -> bool:
    """Whether the project has a handler for the event."""
    handlers = caller_of(request).handlers
    return handlers is not None and handlers.find(resource, action) is not None


async def allowed(
    request: Request, resource: Resource, action: str, value: dict[str, Any], also: Access | None = None
) -> Access:
    """`Caller.allowed` of the request's caller."""
    return await caller_of(request).allowed(resource, action, value, also)


def metadata_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an event's value, as the handler has left it."""
    metadata = value.get("metadata")
    return dict(metadata) if isinstance(metadata, Mapping) else {}
