"""Domain errors as HTTP responses: always ``{"detail": "<text>"}`` (spec 1.2)."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from waystation import errors
from waystation.http.responses import json_response

__all__ = ["STATUS", "install"]

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
    errors.NotSupported: 501,
    errors.Unavailable: 503,
}


def install(app: FastAPI) -> None:
    """Make `app` answer every domain error and framework error in the one shape."""

    @app.exception_handler(errors.WaystationError)
    async def domain_error(request: Request, error: errors.WaystationError) -> Response:
        status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
        if status >= 500:
            log.error("request failed", path=request.url.path, error=error.message, exc_info=error)
        headers = {"Retry-After": "1"} if status == 503 else None
        return json_response({"detail": error.message}, status, headers)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> Response:
        return json_response({"detail": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def parameter_error(_request: Request, error: RequestValidationError) -> Response:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]]
        return json_response({"detail": "; ".join(problems)}, 422)
