"""What the caller of a request may do: every route asks before it does anything (spec 18.4, 18.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request

from waystation.auth.access import Access, Resource
from waystation.auth.caller import CALLER, INTERNAL, Caller

__all__ = ["access_of", "allowed", "asks_about", "caller_of", "metadata_of"]

UUIDS = frozenset({"thread_id", "assistant_id", "run_id", "cron_id"})
"""What handlers get as UUIDs rather than as text, as the SDK's types have it."""


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
    """The caller's access, or `also` if other events have been allowed already, limited by what the project's handler says
    about the event. The handler may change `value`; ids in it that are UUIDs reach it as such.

    Raises Starlette's HTTPException for a refusal, HandlerFailed for a handler that fails."""
    caller = caller_of(request)
    access = caller.access if also is None else also
    handlers = caller.handlers
    if handlers is None:
        return access
    for name in UUIDS & value.keys():
        if isinstance(text := value[name], str):
            value[name] = UUID(text)
    found = await handlers.ask(caller.user, caller.access.permissions, resource, action, value)
    return access.narrowed(resource, found)


def metadata_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an event's value, as the handler has left it."""
    metadata = value.get("metadata")
    return dict(metadata) if isinstance(metadata, Mapping) else {}
