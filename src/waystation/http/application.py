"""The ASGI application over a set of routers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.auth.caller import Authentication
from waystation.http.authentication import Authenticated
from waystation.http.encryption_context import WithEncryptionContext
from waystation.http.errors import HANDLERS
from waystation.http.router import Dispatcher, Router
from waystation.storage.sealing import ContextOf

__all__ = ["application"]


def application(
    routers: Iterable[Router],
    server: Any,
    *,
    prefix: str = "",
    at_root: Iterable[Router] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: Any = None,
    authentication: Authentication | None = None,
    encryption_context: ContextOf | None = None,
    max_body_bytes: int | None = None,
    exception_handlers: Mapping[Any, Any] = HANDLERS,
    around: Callable[[ASGIApp, Dispatcher], ASGIApp] | None = None,
) -> Starlette:
    """Serve `routers` below `prefix` and those `at_root` without it. Handlers find `server` as ``request.app.state.server``
    and the routes as ``request.app.state.dispatcher``. Routes added to the application itself come first, and are not
    behind `authentication`, as everything else is. With `around` given, requests go through the `middleware` to what it makes of
    the API and its dispatcher; that is to handle exceptions. With
    `encryption_context` requests are handled within theirs."""
    app = Starlette(middleware=list(middleware), exception_handlers=exception_handlers, lifespan=lifespan)
    dispatcher = Dispatcher(app)
    for router in at_root:
        dispatcher.include(router)
    for router in routers:
        dispatcher.include(router, prefix)
    app.router.redirect_slashes = False
    inner: ASGIApp = dispatcher if encryption_context is None else WithEncryptionContext(dispatcher, encryption_context)
    app.router.default = inner
    if authentication is not None:
        authentication.path_parameters = dispatcher.parameters_of
        app.router.default = Authenticated(inner, authentication, prefix=prefix, max_body_bytes=max_body_bytes)
    if around is not None:
        outer = _without_lifespan(around(app.router.default, dispatcher), app.router)
        for each, arguments, options in reversed(middleware):
            outer = each(outer, *arguments, **options)
        app.middleware_stack = outer
    app.state.server = server
    app.state.dispatcher = dispatcher
    return app


def _without_lifespan(outer: ASGIApp, router: ASGIApp) -> ASGIApp:
    """`outer` for requests; the lifespan is left to `router`."""

    async def requests(scope: Scope, receive: Receive, send: Send) -> None:
        await (router if scope["type"] == "lifespan" else outer)(scope, receive, send)

    return requests
