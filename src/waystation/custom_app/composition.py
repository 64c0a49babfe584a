"""A custom app and the API as one ASGI application (spec 20).

The custom app is on the outside: what it has around its routes is around those of the API as well, and its exception handlers
answer for both. Inside, one route before all others and the router's default hand a request to the `Composition` that is in its
scope, which decides whose it is. The app itself keeps no trace of a server, so that several can serve the same one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import structlog
from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.auth.caller import Authentication
from waystation.custom_app.handlers import complete
from waystation.custom_app.lifespan import lifespan_of
from waystation.custom_app.loading import CustomApp
from waystation.http.authentication import Authenticated
from waystation.http.router import Dispatcher
from waystation.loopback.server import as_own, below

__all__ = ["NOT_SHADOWED", "Composition"]

log = structlog.get_logger("waystation.custom_app")

COMPOSITION = "waystation.composition"
"""Where the scope of a request has its `Composition`."""

INSIDE = "waystation.inside_custom_app"
"""Set in the scope of a request that the custom app's own routes are to answer."""

CUSTOM_ONLY = "waystation.custom_only"
"""Set in the scope of a request that must not reach the API: a webhook to a path of this server."""

NOT_SHADOWED = frozenset({"/ok", "/metrics", "/docs", "/openapi.json"})
"""Routes of the server that a custom app cannot replace."""

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

SAMPLE_ID = "00000000-0000-4000-8000-000000000000"
"""Stands for a parameter in the path of a route."""

SHOWN = 10
"""Routes that a warning lists."""


class Composition:
    """Serves `custom` together with `api`, whose routes `dispatcher` has, both below `prefix`.

    With `authentication` given custom routes are behind it if they are `protected`. With `auth_first` callers are asked who they
    are before the custom app's middleware sees their request, otherwise after that."""

    def __init__(
        self,
        custom: CustomApp,
        api: ASGIApp,
        dispatcher: Dispatcher,
        *,
        prefix: str = "",
        authentication: Authentication | None = None,
        protected: bool = False,
        auth_first: bool = False,
        max_body_bytes: int | None = None,
        error_bodies: Callable[[ASGIApp], ASGIApp] | None = None,
    ) -> None:
        self.custom = custom
        self.enter: Callable[[], None] = lambda: None
        """Called in the context of each request, and of the lifespan."""
        self.protected = protected
        self.state: Mapping[str, Any] = {}
        """What the custom app's lifespan has yielded, for requests that do not come through a server with a state of its own."""
        self._api = api
        self._dispatcher = dispatcher
        self._prefix = prefix
        self._router = custom.app.router
        _adopt(custom.app)
        self._own: ASGIApp = self._inside
        self._entrance: ASGIApp = custom.app
        if authentication is not None:
            authentication.path_parameters = self._path_parameters
            options: dict[str, Any] = {"prefix": prefix, "max_body_bytes": max_body_bytes}
            if protected:
                self._own = Authenticated(self._inside, authentication, closed=True, **options)
            if auth_first:
                closed = Authenticated(custom.app, authentication, closed=True, **options)
                api_first: ASGIApp = Authenticated(custom.app, authentication, **options)
                self._first = {
                    "api": api_first if error_bodies is None else error_bodies(api_first),
                    "custom": closed if protected else custom.app,
                }
                handlers = {
                    kind: each for kind, each in custom.app.exception_handlers.items() if kind not in (500, Exception)
                }
                self._entrance = ExceptionMiddleware(self._ask_first, handlers)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Mapping[str, Any]]:
        """The lifespan of the custom app, as `lifespan_of` has it."""
        self.enter()
        async with lifespan_of(self.custom) as self.state:
            yield self.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.enter()
        scope[COMPOSITION] = self
        scope.setdefault("state", dict(self.state))
        self._place(scope)
        await self._entrance(scope, receive, send)

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request that has come through the custom app's middleware to whoever it is for."""
        scope.pop("route", None)
        self._place(scope)  # FastAPI's own `root_path` may be there
        handler = self.api if self._whose(scope) == "api" else self._own
        await handler(scope, receive, send)

    async def api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the custom app leaves to the API."""
        if CUSTOM_ONLY in scope:
            raise HTTPException(404, "There is no such route in the custom app.")
        scope["root_path"] = ""
        try:
            await self._api(scope, receive, send)
        except HTTPException as error:
            if error.status_code == 405 and error.headers is not None:
                error.headers = {**error.headers, "Allow": ", ".join(self._allowed(scope))}
            raise

    async def webhooks(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The custom app for webhooks that are paths of this server. They are the server's own requests, and users choose where they
        go: so they reach nothing of the API."""
        await self({**as_own(below(self._prefix, scope)), CUSTOM_ONLY: True}, receive, send)

    def shadowed(self) -> Iterator[str]:
        """The operations of the API that the custom app answers in its place."""
        for route in self._dispatcher.routes:
            segments = [SAMPLE_ID if segment.startswith("{") else segment for segment in route.path.split("/")]
            scope = {
                "type": "http",
                "method": route.method,
                "path": "/".join(segments),
                "headers": [],
                "query_string": b"",
            }
            self._place(scope)
            if self._whose(scope) == "custom":
                yield f"{route.method} {route.path}"

    def warn_of_shadows(self) -> None:
        """Say in the log which operations of the API cannot be reached."""
        if found := list(self.shadowed()):
            more = len(found) - SHOWN
            listed = ", ".join(found[:SHOWN]) + (f" and {more} more" if more > 0 else "")
            log.warning("the custom app answers in place of the API", app=self.custom.reference, operations=listed)

    # --- whose a request is

    def _whose(self, scope: Scope) -> Literal["api", "custom"]:
        path: str = scope["path"]
        if CUSTOM_ONLY in scope:
            return "custom"
        if not self._is_below(path):
            return "api"
        known = self._dispatcher.methods_of(path) if scope["type"] == "http" else frozenset()
        if known and path[len(self._prefix) :] in NOT_SHADOWED:
            return "api"
        if self._match(scope)[0] is Match.FULL:
            return "custom"
        # What neither has is the custom app's as well: it may redirect, or know a fallback, and leaves the rest to the API.
        return "api" if known else "custom"

    def _match(self, scope: Scope) -> tuple[Match, Scope]:
        """How well the custom app's routes match, and what the best of them adds to the scope."""
        best: tuple[Match, Scope] = Match.NONE, {}
        for route in self._router.routes:
            if isinstance(route, _Gateway):
                continue
            match, child = route.matches(scope)
            if match is Match.FULL:
                return match, child
            if match is Match.PARTIAL and best[0] is Match.NONE:
                best = match, child
        return best

    def _allowed(self, scope: Scope) -> list[str]:
        """The methods of a path that the API has, and the custom app perhaps for other methods."""
        self._place(scope)
        own = {method for method in METHODS if self._match({**scope, "method": method})[0] is Match.FULL}
        return sorted(own | self._dispatcher.methods_of(scope["path"]))

    def _path_parameters(self, scope: Scope) -> Mapping[str, str]:
        if self._whose(scope) == "api":
            return self._dispatcher.parameters_of(scope)
        parameters: Mapping[str, str] = self._match(scope)[1].get("path_params", {})
        return parameters

    def _is_below(self, path: str) -> bool:
        return not self._prefix or path.startswith(f"{self._prefix}/")

    def _place(self, scope: Scope) -> None:
        """Tell Starlette which part of the path is the prefix."""
        if self._prefix:
            scope["root_path"] = self._prefix if self._is_below(scope["path"]) else ""

    # --- on the way in

    async def _ask_first(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._first[self._whose(scope)](scope, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[INSIDE] = True
        if self.protected and "user" not in scope:  # a server without authentication: everybody is nobody
            scope["user"], scope["auth"] = UnauthenticatedUser(), AuthCredentials()
        await self._router.app(scope, receive, send)


class _Gateway(BaseRoute):
    """The first route of a custom app that is served with an API."""

    path = path_format = ""
    """For what looks at the routes of an application."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        entered = COMPOSITION in scope and INSIDE not in scope and scope["type"] in ("http", "websocket")
        return (Match.FULL if entered else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[COMPOSITION].route(scope, receive, send)


def _adopt(app: Any) -> None:
    """Prepare a custom app for being served with an API: once, however many servers there are."""
    router = app.router
    complete(app.exception_handlers)
    if any(isinstance(route, _Gateway) for route in router.routes):
        return
    otherwise = router.default

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        composition: Composition | None = scope.get(COMPOSITION)
        await (otherwise if composition is None else composition.api)(scope, receive, send)

    router.routes.insert(0, _Gateway())
    router.default = rest
