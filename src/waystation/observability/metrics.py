"""The figures of one server, and how they are written out (spec 16).

Figures that some part keeps anyway (queue, workers, database) are read when somebody asks; what happens is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from waystation.observability import declared
from waystation.observability.declared import Declared
from waystation.observability.figures import BusFigures, CapacityFigures, QueueFigures, WorkerFigures
from waystation.observability.tallies import Gauge, Labels, Tally, Timings

__all__ = ["CONTENT_TYPE", "Figures", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of the Prometheus text."""

REQUEST_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Upper bounds: from a cached answer to a client that waits for a long run."""

RUN_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400)
"""From an echo to an agent that works for hours."""

_DATABASE = {
    "write_queue": declared.WRITE_QUEUE,
    "writes": declared.WRITES,
    "commits": declared.COMMITS,
    "readers": declared.READERS,
    "reading": declared.READING,
}
"""By the names of `Database.statistics`."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the parts of the server report when asked. A part that cannot answer is None and left out."""

    queue: QueueFigures | None = None
    workers: WorkerFigures | None = None
    database: Mapping[str, Any] = field(default_factory=dict)
    capacity: CapacityFigures | None = None
    bus: BusFigures | None = None
    """None for a bus within one process, which needs no connection."""


class Metrics:
    """What one server counts. All of it may be counted from any thread."""

    def __init__(self) -> None:
        self.requests = Tally()
        """By method, the template of the route, and status."""
        self.latency_ms = Timings(REQUEST_MS)
        """By method and the template of the route."""
        self.streams = Gauge()
        self.run_s = Timings(RUN_S)
        """By status."""
        self.wait_s = Timings(RUN_S)
        self.crons = Tally()
        """By outcome, as are `webhooks`."""
        self.webhooks = Tally()

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered request; `path` is the template of its route."""
        self.requests.add(method, path, str(status))
        self.latency_ms.observe(seconds * 1000, method, path)

    def as_text(self, figures: Figures) -> bytes:
        """All metrics in the Prometheus text format."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Families([*self._counted(), *_families(figures)]))
        return generate_latest(registry)

    def as_json(self, figures: Figures) -> dict[str, Any]:
        """The same figures in the shape of ``/metrics?format=json``."""
        return {
            **({} if figures.queue is None else {"queue": _queue_json(figures.queue)}),
            "api": {
                "http_requests_total": [
                    {"method": method, "path": path, "status": int(status), "count": count}
                    for (method, path, status), count in self.requests
                ],
                "http_requests_latency": [
                    {"method": method, "path": path, "count": latency.count, "sum_ms": latency.total}
                    for (method, path), latency in self.latency_ms
                ],
            },
            **({} if figures.workers is None else {"workers": _workers_json(figures.workers)}),
            **({} if figures.bus is None else {"redis": {"connected": figures.bus.connected}}),
        }

    def _counted(self) -> Iterator[Metric]:
        tallies: dict[Declared, Iterable[tuple[Labels, int]]] = {
            declared.HTTP_REQUESTS: self.requests,
            declared.RUNS: ((status, ended.count) for status, ended in self.run_s),
            declared.CRONS: self.crons,
            declared.WEBHOOKS: self.webhooks,
        }
        for metric, tally in tallies.items():
            family = metric.family()
            for labels, count in tally:
                family.add_metric(labels, count)
            yield family
        timings = {
            declared.HTTP_LATENCY: self.latency_ms,
            declared.RUN_TIME: self.run_s,
            declared.RUN_WAIT: self.wait_s,
        }
        for metric, timing in timings.items():
            family = metric.family()
            for labels, histogram in timing:
                family.add_metric(labels, histogram.cumulative(), histogram.total)
            yield family
        yield _single(declared.STREAMS, self.streams.value)


class _Families(Collector):
    """Families that are already there, as the registry wants them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(figures: Figures) -> Iterator[Metric]:
    values: dict[Declared, float] = {}
    if (queue := figures.queue) is not None:
        values |= {
            declared.PENDING: queue.pending,
            declared.RUNNING: queue.running,
            declared.WAIT_MAX: queue.wait_max_s or 0,
            declared.WAIT_MED: queue.wait_med_s or 0,
            declared.UNBLOCKED: queue.unblocked_pending,
            declared.UNBLOCKED_WAIT_MAX: queue.unblocked_wait_max_s or 0,
            declared.UNBLOCKED_WAIT_MED: queue.unblocked_wait_med_s or 0,
        }
    if (workers := figures.workers) is not None:
        values |= {
            declared.WORKERS_MAX: workers.max,
            declared.WORKERS_ACTIVE: workers.active,
            declared.WORKERS_AVAILABLE: workers.available,
        }
    if (capacity := figures.capacity) is not None:
        values |= {declared.PENDING_LIMIT: capacity.limit, declared.REFUSED: capacity.refused}
    if (bus := figures.bus) is not None:
        values[declared.BUS_CONNECTED] = bus.connected
        if bus.lag_s is not None:
            values[declared.BUS_LAG] = bus.lag_s
    values |= {_DATABASE[name]: value for name, value in figures.database.items() if name in _DATABASE}
    for metric, value in values.items():
        yield _single(metric, value)


def _single(metric: Declared, value: float) -> Metric:
    family = metric.family()
    family.add_metric([], value)
    found: Metric = family
    return found


def _queue_json(queue: QueueFigures) -> dict[str, Any]:
    """Waiting times are null when no run waits."""
    waiting, unblocked = queue.pending > 0, queue.unblocked_pending > 0
    return {
        "n_pending": queue.pending,
        "n_running": queue.running,
        "pending_runs_wait_time_max_secs": queue.wait_max_s if waiting else None,
        "pending_runs_wait_time_med_secs": queue.wait_med_s if waiting else None,
        "n_pending_unblocked": queue.unblocked_pending,
        "pending_unblocked_runs_wait_time_max_secs": queue.unblocked_wait_max_s if unblocked else None,
        "pending_unblocked_runs_wait_time_med_secs": queue.unblocked_wait_med_s if unblocked else None,
    }


def _workers_json(workers: WorkerFigures) -> dict[str, Any]:
    return {"max": workers.max, "active": workers.active, "available": workers.available}
