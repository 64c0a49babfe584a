"""Domain errors as HTTP responses: always ``{"detail": "<text>"}`` (spec 1.2)."""

from __future__ import annotations

from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from waystation import errors
from waystation.http.responses import json_response

__all__ = ["HANDLERS", "STATUS", "as_http_exception"]

log = structlog.get_logger("waystation.http")

STATUS: dict[type[errors.WaystationError], int] = {
    errors.BadInput: 400,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.UnprocessableInput: 422,
    errors.NotAGraph: 424,
    errors.GraphLoadError: 500,
    errors.HandlerFailed: 500,
    errors.EmbeddingFailed: 500,
    errors.StoreFailed: 500,
    errors.SealBroken: 500,
    errors.EncryptionFailed: 500,
    errors.NotSupported: 501,
    errors.UpstreamFailed: 502,
    errors.Unavailable: 503,
}


def as_http_exception(request: Request, error: errors.WaystationError) -> HTTPException:
    """`error` as its status, text and headers. Those of the server itself are logged."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if isinstance(error, errors.UpstreamFailed):
        log.warning("another server failed", path=request.url.path, error=error.message)
    elif status >= 500 and not isinstance(error, errors.Overloaded):  # a line for each would only add to the load
        log.error("request failed", path=request.url.path, error=error.message, exc_info=error)
    return HTTPException(status, error.message, {"Retry-After": str(_retry_after_s(error))} if status == 503 else None)


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.WaystationError)
    return await _http_error(request, as_http_exception(request, error))


def _retry_after_s(error: errors.WaystationError) -> int:
    return error.retry_after_s if isinstance(error, errors.Overloaded) else 1


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_response({"detail": str(error.detail)}, error.status_code, error.headers)


HANDLERS: dict[Any, Any] = {errors.WaystationError: _domain_error, HTTPException: _http_error}
"""For Starlette's ``exception_handlers``."""
