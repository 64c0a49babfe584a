"""The middleware that counts HTTP requests and their time by route, and the event streams that are open."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.observability.answers import Answer
from waystation.observability.metrics import Metrics
from waystation.observability.routes import method_of, template

__all__ = ["HttpMetrics"]


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
        answer = Answer(send, self._stream_begins)
        try:
            await self._app(scope, receive, answer)
        finally:
            if answer.is_event_stream:
                self._metrics.streams.add(-1)
            self._metrics.count_request(
                method_of(scope), template(scope, above), answer.status, perf_counter() - started
            )

    def _stream_begins(self) -> None:
        self._metrics.streams.add(1)
