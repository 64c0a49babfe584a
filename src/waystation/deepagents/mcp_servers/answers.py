"""Errors of these routes as the Managed Deep Agents API has them (section 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from starlette.requests import Request
from starlette.responses import Response

from waystation import errors
from waystation.deepagents.mcp_servers.failures import ServerFailed
from waystation.http.errors import as_http_exception
from waystation.http.responses import json_response

__all__ = ["answered"]

P = ParamSpec("P")
Endpoint = Callable[Concatenate[Request, P], Awaitable[Response]]

ABOUT = "https://docs.langchain.com/errors/"
"""What the ``type`` of an error begins with."""

BAD_GATEWAY = 502

_CODES = {
    400: "invalid_request_body",
    404: "not_found",
    409: "conflict",
    413: "invalid_request_body",
    422: "validation_error",
    503: "service_unavailable",
}


def answered(endpoint: Endpoint[P]) -> Endpoint[P]:
    """`endpoint`, with its domain errors as answers."""

    @wraps(endpoint)
    async def answer(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return await endpoint(request, *args, **kwargs)
        except errors.Forbidden:
            return json_response({"error": "Forbidden"}, 403)
        except ServerFailed as error:
            return _structured(BAD_GATEWAY, error.code, f"Check the MCP server: {error.message}.")
        except errors.WaystationError as error:
            found = as_http_exception(request, error)
            code = getattr(error, "code", None) or _CODES.get(found.status_code, "internal_error")
            response = _structured(found.status_code, code, error.message)
            response.headers.update(found.headers or {})
            return response

    return answer


def _structured(status: int, code: str, detail: str) -> Response:
    return json_response({"type": ABOUT + code, "code": code, "detail": detail, "status": status}, status)
