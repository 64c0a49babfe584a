"""OpenTelemetry traces: from an HTTP request to the run it asked for, on whichever process that is executed, to the nodes, models
and tools of the graph. Waystation makes them only when an exporter is configured, and loads OpenTelemetry only then.

Spans tell what was called and how long it took, never what was said: inputs, outputs and the texts of errors stay out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import Struct

from waystation import __version__
from waystation.config import Config
from waystation.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

    from waystation.observability.graph_spans import GraphSpans

__all__ = ["RunSpan", "Tracing", "exporters", "tracing_of"]

log = structlog.get_logger("waystation.tracing")

NONE = "none"

FAILURES = frozenset({"error", "timeout"})
"""Statuses of runs that are the fault of something."""

HTTP = "http/protobuf"

PROTOCOLS = {HTTP: "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Entry points of the OTLP exporter by ``OTEL_EXPORTER_OTLP_PROTOCOL``."""

PACKAGES = {"otlp_proto_http": "waystation[otel]", "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc"}


class RunSpan(Struct, frozen=True):
    """The span of a run, and the callback handler that makes those of its graph."""

    span: Span
    callback: GraphSpans

    def end_as(self, status: str) -> None:
        """Say how the run ended."""
        from opentelemetry.trace import StatusCode

        self.span.set_attribute("waystation.run.status", status)
        if status in FAILURES:
            self.span.set_status(StatusCode.ERROR)
            self.span.set_attribute("error.type", status)


class Tracing:
    """Makes the spans of one process."""

    def __init__(self, provider: TracerProvider | None) -> None:
        """`provider` is shut down by `close`; None uses the one that the project has set up."""
        from opentelemetry import trace

        self._provider = provider
        self.tracer: Tracer = trace.get_tracer("waystation", __version__, provider)

    def carrier(self) -> dict[str, str]:
        """What another process needs to go on with the current span: headers such as ``traceparent``."""
        from opentelemetry import propagate

        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier

    @contextlib.contextmanager
    def run(self, carrier: Mapping[str, str] | None, name: str, attributes: Mapping[str, Any]) -> Iterator[RunSpan]:
        """A block with the span of a run, below the span that `carrier` is of."""
        from opentelemetry import propagate

        from waystation.observability.graph_spans import GraphSpans

        with self.tracer.start_as_current_span(
            name,
            context=propagate.extract(carrier or {}),
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield RunSpan(span, GraphSpans(self.tracer, span))

    def close(self) -> None:
        """Export what is left. Blocks for as long as that takes (``OTEL_EXPORTER_OTLP_TIMEOUT``)."""
        if self._provider is not None:
            self._provider.shutdown()


def tracing_of(config: Config) -> Tracing | None:
    """What makes traces for `config`; None where none are asked for. Raises ConfigError for exporters that are not there."""
    chosen = exporters(config)
    if not chosen:
        return None
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        log.info("traces go where the project's own code has set up")
        return Tracing(None)
    provider = TracerProvider(resource=_resource())
    for exporter in chosen.values():
        provider.add_span_processor(BatchSpanProcessor(exporter()))
    trace.set_tracer_provider(provider)
    return Tracing(provider)


def _resource() -> Resource:
    """What the spans are of: ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES``, as far as they say."""
    from opentelemetry.sdk.resources import Resource

    found = Resource({"service.version": __version__}).merge(Resource.create())
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        found = found.merge(Resource({"service.name": "waystation"}))
    return found


def exporters(config: Config) -> Mapping[str, Callable[[], SpanExporter]]:
    """The exporters that `config` asks for, by name. Raises ConfigError for one that is not installed."""
    return {name: _exporter(name) for name in _names(config)}


def _names(config: Config) -> Sequence[str]:
    if config.tracing_disabled:
        return ()
    if config.trace_exporters is None:
        return ("otlp",) if config.trace_endpoint is not None else ()
    return [name for name in config.trace_exporters if name != NONE]


def _exporter(name: str) -> Callable[[], SpanExporter]:
    """The exporter that is installed under this name (``OTEL_TRACES_EXPORTER``)."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ConfigError(
            "Traces are asked for (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT), but OpenTelemetry is not installed: "
            "pip install 'waystation[otel]'"
        )
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    entry = PROTOCOLS.get(protocol or HTTP, protocol or HTTP) if name == "otlp" else name
    for found in entry_points(group="opentelemetry_traces_exporter", name=entry):
        exporter: Callable[[], SpanExporter] = found.load()
        return exporter
    package = PACKAGES.get(entry)
    advice = f"pip install '{package}'" if package else "install the package that has it, or name otlp, console or none"
    raise ConfigError(f"There is no exporter of traces called {entry!r} (OTEL_TRACES_EXPORTER): {advice}")
