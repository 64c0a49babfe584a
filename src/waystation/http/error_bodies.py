"""Errors of APIs that have a form of their own for them, chosen by the path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waystation.errors import WaystationError

__all__ = ["ErrorBodies", "Form"]

log = structlog.get_logger("waystation.http")

Handler = Callable[[Request, Exception], Awaitable[Response]]

Form = Callable[[Request, Exception], Response]
"""Answers an error: one of the domain, Starlette's HTTPException, or what nobody expected."""


class ErrorBodies:
    """Answers errors of authentication and routes in the form of the API that they belong to: as exception handlers, which cost a
    request nothing, and `around` an API whose errors would otherwise reach the handlers of a custom app."""

    def __init__(self, forms: Mapping[str, Form]) -> None:
        """`forms` has the form of the errors at and below each path."""
        self._forms = [(path, f"{path}/", form) for path, form in forms.items()]

    def handlers(self, others: Mapping[Any, Any]) -> dict[Any, Any]:
        """For Starlette's ``exception_handlers``: `others` answer what has no form of its own."""

        def choosing(other: Handler) -> Handler:
            async def handler(request: Request, error: Exception) -> Response:
                form = self._form(request.scope)
                return await other(request, error) if form is None else form(request, error)

            return handler

        return {kind: choosing(other) for kind, other in {Exception: _failed, **others}.items()}

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, whose errors with a form of their own are answered."""

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            form = self._form(scope)
            if form is None:
                await app(scope, receive, send)
                return
            started = False

            async def noting(message: Message) -> None:
                nonlocal started
                started = True
                await send(message)

            try:
                await app(scope, receive, noting)
            except Exception as error:
                if started:
                    raise
                if not isinstance(error, (WaystationError, HTTPException)):
                    log.error("request failed", path=scope["path"], exc_info=error)
                await form(Request(scope), error)(scope, receive, send)

        return answered

    def _form(self, scope: Scope) -> Form | None:
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        return next((form for own, below, form in self._forms if path == own or path.startswith(below)), None)


async def _failed(_request: Request, _error: Exception) -> Response:
    """What Starlette answers without a handler. It goes on to raise the error, which is then logged."""
    return PlainTextResponse("Internal Server Error", 500)
