"""Errors of this API in its two forms: flat ones for who may not, structured ones for everything else (MDA 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from waystation.errors import WaystationError
from waystation.http.errors import as_http_exception
from waystation.http.responses import json_response

__all__ = ["answer", "code_and_detail"]

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


def code_and_detail(request: Request, error: WaystationError | HTTPException) -> tuple[str, str]:
    """What the structured form says of `error`."""
    code = getattr(error, "code", None)
    if isinstance(error, WaystationError):
        error = as_http_exception(request, error)
    return code or _code(error.status_code), str(error.detail)


def answer(request: Request, error: Exception) -> Response:
    """`error` in whichever form it has here."""
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
