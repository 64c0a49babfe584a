"""A line in the log for each request, with the headers that ``http.logging_headers`` selects (spec 19)."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.http.selection import selects
from waystation.observability.answers import Answer
from waystation.observability.logs import hidden

__all__ = ["RequestLog"]

log = structlog.get_logger("waystation.http")


class RequestLog:
    """Pure ASGI middleware. `selection` is ``{"includes": [pattern], "excludes": [pattern]}`` in lower case; excludes win. Values of
    headers whose names sound secret are hidden, whatever is selected."""

    def __init__(self, app: ASGIApp, selection: Mapping[str, Any]) -> None:
        self._app = app
        self._selection = selection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        method, path, headers = scope["method"], scope["path"], self._selected(scope)
        answer = Answer(send)
        try:
            await self._app(scope, receive, answer)
        finally:
            duration_ms = round((perf_counter() - began) * 1000, 1)
            log.info(
                "request", method=method, path=path, status=answer.status, duration_ms=duration_ms, headers=headers
            )

    def _selected(self, scope: Scope) -> dict[str, str]:
        found: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if selects(self._selection, name):
                value = hidden(name, raw_value.decode("latin-1"))
                found[name] = f"{found[name]}, {value}" if name in found else value
        return found
