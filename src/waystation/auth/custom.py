"""Custom authentication: a project's own ``authenticate`` handler (spec 18.2, 18.3)."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any

from langgraph_sdk import Auth
from langgraph_sdk.auth.exceptions import HTTPException as SdkHTTPException
from langgraph_sdk.auth.types import StudioUser
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope

from waystation.auth.access import Access
from waystation.auth.caller import Caller, Documentation, PathParameters
from waystation.auth.expiring import Expiring
from waystation.auth.handlers import Handlers, call, refusal
from waystation.auth.user import User, user_of
from waystation.config.model import AuthConfig
from waystation.errors import ConfigError, HandlerFailed

__all__ = ["PARAMETERS", "STUDIO_IDENTITY", "CustomAuthentication"]

PARAMETERS = frozenset(
    [
        "request",
        "body",
        "path",
        "method",
        "path_params",
        "query_params",
        "headers",
        "authorization",
        "scope",
        "user",
        "scopes",
    ]
)
"""What an ``authenticate`` handler may ask for, by name."""

STUDIO_IDENTITY = "langgraph-studio-user"


class CustomAuthentication:
    """`Authentication` by the `Auth` object of a project."""

    def __init__(self, auth: Auth, config: AuthConfig) -> None:
        """Raises ConfigError for a handler that asks for what there is not."""
        self.documentation = Documentation(
            config.openapi.get("securitySchemes") or {},
            list(config.openapi.get("security") or ()),
            config.openapi.get("paths") or {},
        )
        self.path_parameters: PathParameters = lambda _scope: {}
        self._handlers = Handlers(auth)
        self._authenticate = auth._authenticate_handler
        self._wanted = _wanted(self._authenticate) if self._authenticate is not None else frozenset()
        self._studio = config.disable_studio_auth is False
        self._cache_headers = config.cache_headers
        self._cache: Expiring[Caller] | None = None
        if self._cache_headers:
            self._cache = Expiring(config.cache_ttl_s, config.cache_size)

    @property
    def anonymous(self) -> bool:
        """Whether everybody is let in."""
        return self._authenticate is None

    @property
    def uncovered(self) -> list[str]:
        """The events without a handler, which every authenticated caller may cause."""
        return self._handlers.uncovered()

    @property
    def handlers(self) -> Handlers | None:
        """What decides about events; None if nothing does."""
        return self._handlers or None

    async def caller(self, scope: Scope, receive: Receive) -> Caller:
        headers = Headers(scope=scope)
        if self._studio and headers.get("x-auth-scheme") == "langsmith":
            return self._studio_caller()
        if self._authenticate is None:
            return self._caller(User({"identity": "", "is_authenticated": False}), [])
        key = self._cache_key(headers)
        if self._cache is not None and key is not None and (known := self._cache.get(key)) is not None:
            return known
        user, permissions = await self._ask(scope, receive)
        caller = self._caller(user, permissions)
        if self._cache is not None and key is not None:
            self._cache.put(key, caller)
        return caller

    async def _ask(self, scope: Scope, receive: Receive) -> tuple[User, list[str]]:
        arguments = await self._arguments(scope, receive)
        try:
            answer = await call(self._authenticate, **arguments)
        except SdkHTTPException as error:
            raise refusal(error) from error
        except HTTPException:
            raise
        except Exception as error:
            raise HandlerFailed("The authentication handler failed.") from error
        try:
            return user_of(answer)
        except (ValueError, TypeError) as error:
            raise HandlerFailed(f"The authentication handler returned no user: {error}.") from error

    async def _arguments(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        headers = Headers(scope=scope)
        request: HTTPConnection
        if scope["type"] == "http":
            request = Request(scope, receive)
        elif self._wanted & {"request", "body"}:
            raise HTTPException(403, "The server's authentication cannot serve WebSockets.")
        else:
            request = HTTPConnection(scope)
        available: dict[str, Callable[[], Any]] = {
            "request": lambda: request,
            "path": lambda: scope["path"],
            "method": lambda: scope.get("method", "GET"),
            "path_params": lambda: dict(self.path_parameters(scope)),
            "query_params": lambda: dict(QueryParams(scope.get("query_string", b""))),
            "headers": lambda: dict(scope["headers"]),
            "authorization": lambda: headers.get("authorization"),
            "scope": lambda: scope,
            "user": lambda: scope.get("user"),
            "scopes": lambda: getattr(scope.get("auth"), "scopes", []),
        }
        arguments = {name: available[name]() for name in self._wanted if name != "body"}
        if "body" in self._wanted and isinstance(request, Request):
            arguments["body"] = _json(await request.body())
        return arguments

    def _cache_key(self, headers: Headers) -> bytes | None:
        """A digest of the headers that tell callers apart; None if there are none, for then all would be the same."""
        found = [headers.getlist(name) for name in self._cache_headers]
        return hashlib.sha256(json.dumps(found).encode()).digest() if any(found) else None

    def _studio_caller(self) -> Caller:
        user = StudioUser(STUDIO_IDENTITY)
        described = User(
            {
                "identity": STUDIO_IDENTITY,
                "display_name": STUDIO_IDENTITY,
                "is_authenticated": False,
                "permissions": [],
                "kind": "StudioUser",
            }
        )
        return self._caller(described, [], user)

    def _caller(self, described: User, permissions: list[str], user: Any = None) -> Caller:
        return Caller(
            Access(described.identity, tuple(permissions), asked=None if self.handlers is None else ()),
            described if user is None else user,
            described,
            self.handlers,
            is_studio=user is not None,
        )


def _wanted(handler: Any) -> frozenset[str]:
    """The names of the arguments to call an ``authenticate`` handler with."""
    wanted = set()
    for name, parameter in inspect.signature(handler).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in PARAMETERS and parameter.kind is not parameter.POSITIONAL_ONLY:
            wanted.add(name)
        elif parameter.default is parameter.empty:
            raise ConfigError(
                f"The authentication handler asks for {name!r}; it can have {', '.join(sorted(PARAMETERS))}, by name."
            )
    return frozenset(wanted)


def _json(data: bytes) -> Any:
    """A request's body as JSON; empty if it is none: then it is refused later, by whoever reads it."""
    try:
        return json.loads(data) if data else {}
    except ValueError:
        return {}
