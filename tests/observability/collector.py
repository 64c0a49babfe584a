"""A collector of OpenTelemetry traces: a real HTTP server that takes OTLP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.webhooks.receiver import Receiver, receiving

__all__ = ["Collector", "Exported", "collecting"]


@dataclass(frozen=True)
class Exported:
    """A span that the collector got."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool
    service: str


class Collector:
    """`environ` makes a server send its traces here, without waiting."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def spans(self) -> Sequence[Exported]:
        """All spans so far."""
        found = []
        for call in self.receiver.calls:
            assert call.path == "/v1/traces"
            for part in ExportTraceServiceRequest.FromString(call.raw).resource_spans:
                service = _values(part.resource.attributes)["service.name"]
                for scope in part.scope_spans:
                    found += [_exported(span, service) for span in scope.spans]
        return found

    def named(self, name: str) -> Exported:
        """The only span with this name. Raises LookupError unless there is one."""
        matching = [span for span in self.spans() if span.name == name]
        if len(matching) != 1:
            raise LookupError(f"{len(matching)} spans are called {name!r}; there are {[s.name for s in self.spans()]}")
        return matching[0]


def _exported(span: Any, service: str) -> Exported:
    return Exported(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _values(span.attributes),
        span.status.code == 2,
        service,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, until the end of the context."""
    with receiving() as receiver:
        yield Collector(receiver)
