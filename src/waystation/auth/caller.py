"""The caller of a request, once authenticated, and how a server authenticates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Receive, Scope

from waystation.auth.access import EVERYTHING, Access
from waystation.auth.handlers import Handlers
from waystation.auth.user import User

__all__ = ["CALLER", "INTERNAL", "Authentication", "Caller", "Documentation", "PathParameters"]

CALLER = "waystation.caller"
"""Where an ASGI scope has its `Caller`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    access: Access
    """What the caller may see before any handler is asked."""
    user: Any = None
    """What handlers get as ``ctx.user``: a `User`, or the SDK's StudioUser."""
    described: User | None = None
    """The same for graphs; None for nobody."""
    handlers: Handlers | None = None
    """Those to ask; None where there are none."""


PathParameters = Callable[[str], Mapping[str, str]]
"""The parameters in a request's path, by the routes of the server."""

INTERNAL = Caller(EVERYTHING)
"""The server itself."""


@dataclass(frozen=True, slots=True)
class Documentation:
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
