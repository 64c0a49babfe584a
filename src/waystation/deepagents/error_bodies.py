"""Errors of this API in its two forms: flat ones for who may not, structured ones for everything else (MDA 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waystation.errors import WaystationError
from waystation.http.errors import as_http_exception
from waystation.http.responses import json_response

__all__ = ["ErrorBodies", "code_and_detail"]

log = structlog.get_logger("waystation.deepagents")

Handler = Callable[[Request, Exception], Awaitable[Response]]

TYPE = "https://docs.langchain.com/errors/"

_CODES = {
    400: "invalid_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    422: "validation_error",
    502: "upstream_error",
    503: "service_unavailable",
}


class ErrorBodies:
    """Answers errors of authentication and routes below the given paths: as exception handlers, which cost a request nothing, and
    `around` an API whose errors would otherwise reach the handlers of a custom app."""

    def __init__(self, below: tuple[str, ...]) -> None:
        self._below = tuple(f"{path}/" for path in below)

    def handlers(self, others: Mapping[Any, Any]) -> dict[Any, Any]:
        """For Starlette's ``exception_handlers``: `others` answer what is not below the paths."""

        def choosing(other: Handler) -> Handler:
            async def handler(request: Request, error: Exception) -> Response:
                if self._concerns(request.scope):
                    return _response(request, error)
                return await other(request, error)

            return handler

        return {kind: choosing(other) for kind, other in {Exception: _failed, **others}.items()}

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, whose errors below the paths are answered."""

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            if not self._concerns(scope):
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
                await _response(Request(scope), error)(scope, receive, send)

        return answered

    def _concerns(self, scope: Scope) -> bool:
        path: str = scope.get("path", "")  # a lifespan has none
        return scope["type"] == "http" and path.startswith(self._below)


async def _failed(_request: Request, _error: Exception) -> Response:
    """What Starlette answers without a handler. It goes on to raise the error, which is then logged."""
    return PlainTextResponse("Internal Server Error", 500)


def code_and_detail(request: Request, error: WaystationError | HTTPException) -> tuple[str, str]:
    """What the structured form says of `error`."""
    code = getattr(error, "code", None)
    if isinstance(error, WaystationError):
        error = as_http_exception(request, error)
    return code or _code(error.status_code), str(error.detail)


def _response(request: Request, error: Exception) -> Response:
    code = getattr(error, "code", None)
    if isinstance(error, WaystationError):
        error = as_http_exception(request, error)
    if not isinstance(error, HTTPException):
        return _structured(500, None, "try again, or ask the operator for the log: the server failed", None)
    if error.status_code in (401, 403):
        return _flat(request, error)
    return _structured(error.status_code, code, str(error.detail), error.headers)


def _code(status: int) -> str:
    return _CODES.get(status, "internal_error" if status >= 500 else "invalid_request")


def _flat(request: Request, error: HTTPException) -> Response:
    """A key that is not known is a 403 here; 401 is for no key at all."""
    if error.status_code == 401 and not _has_key(request.headers):
        return json_response({"error": "Unauthorized"}, 401, error.headers)
    return json_response({"error": "Forbidden"}, 403)


def _has_key(headers: Headers) -> bool:
    return bool(headers.get("x-api-key", "").strip() or headers.get("authorization", "").strip())


def _structured(status: int, code: str | None, detail: str, headers: Mapping[str, str] | None) -> Response:
    code = code or _code(status)
    body: dict[str, Any] = {"type": TYPE + code, "code": code, "detail": detail, "status": status}
    return json_response(body, status, headers)
