"""The middleware that makes a span of each HTTP request, below that of its sender if that is told (``traceparent``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.observability.answers import Answer
from waystation.observability.routes import NO_ROUTE, method_of, template

if TYPE_CHECKING:
    from waystation.observability.tracing import Tracing

__all__ = ["HttpSpans"]

UNSEEN = ("/ok", "/metrics")
"""What is asked for every few seconds and tells nothing."""


class HttpSpans:
    """Pure ASGI middleware. Names and attributes are those of OpenTelemetry's conventions for HTTP; the query is left out, which
    may hold secrets."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith(UNSEEN):
            await self._app(scope, receive, send)
            return
        from opentelemetry import propagate
        from opentelemetry.trace import SpanKind, StatusCode

        above: str = scope.get("root_path", "")
        answer = Answer(send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = method_of(scope)
        with self._tracing.tracer.start_as_current_span(
            method,
            context=propagate.extract(headers),
            kind=SpanKind.SERVER,
            attributes=_attributes(scope, method, headers),
            record_exception=False,
        ) as span:
            try:
                await self._app(_below_this_span(scope), receive, answer)
            finally:
                route = template(scope, above)
                if route != NO_ROUTE:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", answer.status)
                if answer.status >= 500:
                    span.set_attribute("error.type", str(answer.status))
                    span.set_status(StatusCode.ERROR)


def _below_this_span(scope: Scope) -> Scope:
    """`scope` with the current span for its sender's: an application that makes spans of its own, as FastAPI does, looks there."""
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    told = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in carrier.items()}
    scope["headers"] = [*(each for each in scope["headers"] if each[0] not in told), *told.items()]
    return scope


def _attributes(scope: Scope, method: str, headers: dict[str, str]) -> dict[str, Any]:
    found = {
        "http.request.method": method,
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "user_agent.original": headers.get("user-agent"),
        "client.address": scope["client"][0] if scope.get("client") else None,
    }
    if scope.get("server"):
        found["server.address"], found["server.port"] = scope["server"][0], scope["server"][1]
    return {name: value for name, value in found.items() if value is not None}
