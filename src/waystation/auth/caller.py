"""The caller of a request, once authenticated, and how a server authenticates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from msgspec import Struct
from starlette.types import Receive, Scope

from waystation.auth.access import EVERYTHING, Access, Resource
from waystation.auth.user import User

if TYPE_CHECKING:
    from waystation.auth.handlers import Handlers

__all__ = ["CALLER", "INTERNAL", "Authentication", "Caller", "Documentation", "PathParameters"]

CALLER = "waystation.caller"
"""Where an ASGI scope has its `Caller`."""

UUIDS = frozenset({"thread_id", "assistant_id", "run_id", "cron_id"})
"""What handlers get as UUIDs rather than as text, as the SDK's types have it."""


class Caller(Struct, frozen=True):
    """Who sent a request."""

    access: Access
    """What the caller may see before any handler is asked."""
    user: Any = None
    """What handlers get as ``ctx.user``: a `User`, or the SDK's StudioUser."""
    described: User | None = None
    """The same for graphs; None for nobody."""
    handlers: Handlers | None = None
    """Those to ask; None where there are none."""
    is_studio: bool = False
    """Whether `user` is the SDK's StudioUser."""
    until_refused: Callable[[], Awaitable[None]] | None = None
    """Returns when the caller is no longer let in, for what takes long; None where that cannot happen."""

    async def allowed(
        self, resource: Resource, action: str, value: dict[str, Any], also: Access | None = None
    ) -> Access:
        """The caller's access, or `also` if other events have been allowed already, limited by what the project's handler says
        about the event. The handler may change `value`; ids in it that are UUIDs reach it as such.

        Raises Starlette's HTTPException for a refusal, HandlerFailed for a handler that fails."""
        access = self.access if also is None else also
        if self.handlers is None:
            return access
        for name in UUIDS & value.keys():
            if isinstance(text := value[name], str):
                value[name] = UUID(text)
        found = await self.handlers.ask(self.user, self.access.permissions, resource, action, value)
        return access.narrowed(resource, found)


PathParameters = Callable[[Scope], Mapping[str, str]]
"""The parameters in the path of a request's scope, by the routes of the server."""

INTERNAL = Caller(EVERYTHING)
"""The server itself."""


class Documentation(Struct, frozen=True):
    """What the OpenAPI document says of how to authenticate."""

    schemes: Mapping[str, Any]
    security: list[Any]
    paths: Mapping[str, Any]
    """Additions by path and method."""


class Authentication(Protocol):
    """One way to find out who sent a request."""

    documentation: Documentation
    path_parameters: PathParameters

    async def caller(self, scope: Scope, receive: Receive) -> Caller:
        """The caller of the request, of which this may read the body. Raises Starlette's HTTPException to refuse it, and
        HandlerFailed."""
        ...
