"""One set of exception handlers for a custom app and the API: the project's come before the server's (spec 20)."""

from __future__ import annotations

import inspect
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from waystation.errors import WaystationError
from waystation.http.errors import HANDLERS, as_http_exception

__all__ = ["complete"]


def complete(handlers: dict[Any, Any]) -> None:
    """Add to the `handlers` of a custom app those of the server that it has no own for. Errors of the API reach a handler for
    their status or for Starlette's HTTPException like those of its own routes."""

    async def domain_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, WaystationError)
        known = as_http_exception(request, error)
        handler = handlers.get(known.status_code) or handlers[HTTPException]
        is_async = inspect.iscoroutinefunction(handler)
        answer = handler(request, known) if is_async else await run_in_threadpool(handler, request, known)
        response: Response = await answer if inspect.isawaitable(answer) else answer
        return response

    for kind, handler in {**HANDLERS, WaystationError: domain_error}.items():
        handlers.setdefault(kind, handler)
