"""The middleware that counts HTTP requests and their time by route, and the event streams that are open."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waystation.observability.metrics import Metrics

__all__ = ["HttpMetrics"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Labels come from here and from the routes only, so that no client can make up new ones."""

OTHER_METHOD = "OTHER"
NO_ROUTE = "(none)"


class HttpMetrics:
    """Pure ASGI middleware: ``app.add_middleware(HttpMetrics, metrics=metrics)``. Adds microseconds to a request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        above: str = scope.get("root_path", "")
        status = 500  # what the server answers if the application raises before it has answered
        streams = False

        async def observed(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                if streams := _is_event_stream(message):
                    self._metrics.streams.add(1)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            if streams:
                self._metrics.streams.add(-1)
            method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
            self._metrics.count_request(method, _template(scope, above), status, perf_counter() - started)


def _template(scope: Scope, above: str) -> str:
    """The path of the route that took the request as its router declares it, below the path of its mount."""
    route: Any = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if path is None:
        return NO_ROUTE
    below: str = scope.get("root_path", "")
    return below[len(above) :] + str(path)


def _is_event_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )
