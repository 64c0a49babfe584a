"""The middleware that counts HTTP requests and their time by route, and the event streams that are open."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
            self._metrics.count_request(method_of(scope), template(scope, above), status, perf_counter() - started)


def _is_event_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )
