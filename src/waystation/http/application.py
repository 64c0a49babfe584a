"""The ASGI application over a set of routers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

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
) -> Starlette:
    """Serve `routers` below `prefix` and those `at_root` without it. Handlers find `server` as ``request.app.state.server``
    and the routes as ``request.app.state.dispatcher``. Routes added to the application itself come first, and are not
    behind `authentication`, as everything else is. With `encryption_context` requests are handled within theirs."""
    app = Starlette(middleware=list(middleware), exception_handlers=HANDLERS, lifespan=lifespan)
    dispatcher = Dispatcher()
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
    app.state.server = server
    app.state.dispatcher = dispatcher
    return app
