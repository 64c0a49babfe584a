"""Every Prometheus metric of the server, with name, help and unit, and how they are written out (spec 16).

Names that begin with ``lg_api_`` are those of the official server, so that its dashboards work. Figures that some part
keeps anyway (queue, workers, database) are read when somebody asks; only HTTP requests are counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from waystation.observability.figures import CapacityFigures, QueueFigures, WorkerFigures

__all__ = ["CONTENT_TYPE", "METRICS", "Declared", "Figures", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of the Prometheus text."""

BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Upper bounds: from a cached answer to a client that waits for a long run."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric that exists."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str
    labels: tuple[str, ...] = ()

    def family(self) -> Any:
        """A Prometheus family to add samples to."""
        kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
        return kinds[self.kind](self.name, f"{self.help} [{self.unit}]", labels=self.labels)


HTTP_REQUESTS = Declared(
    "lg_api_http_requests_total", "counter", "HTTP requests answered.", "requests", ("method", "path", "status")
)
HTTP_LATENCY = Declared(
    "lg_api_http_requests_latency",
    "histogram",
    "Time from receiving an HTTP request to the end of its answer; for a stream, as long as it is open.",
    "milliseconds",
    ("method", "path"),
)
WORKERS_MAX = Declared("lg_api_workers_max", "gauge", "Runs this process can carry out at once.", "runs")
WORKERS_ACTIVE = Declared("lg_api_workers_active", "gauge", "Runs this process is carrying out.", "runs")
WORKERS_AVAILABLE = Declared("lg_api_workers_available", "gauge", "Runs this process could start at once.", "runs")
PENDING = Declared("lg_api_num_pending_runs", "gauge", "Pending runs.", "runs")
RUNNING = Declared("lg_api_num_running_runs", "gauge", "Running runs.", "runs")
WAIT_MAX = Declared("lg_api_pending_runs_wait_time_max", "gauge", "Longest time a pending run has waited.", "seconds")
WAIT_MED = Declared("lg_api_pending_runs_wait_time_med", "gauge", "Median time pending runs have waited.", "seconds")
UNBLOCKED = Declared(
    "lg_api_num_pending_unblocked_runs", "gauge", "Pending runs that lack nothing but a free worker.", "runs"
)
UNBLOCKED_WAIT_MAX = Declared(
    "lg_api_pending_unblocked_runs_wait_time_max",
    "gauge",
    "Longest time a pending run has waited, leaving out runs that wait for another run of their thread.",
    "seconds",
)
UNBLOCKED_WAIT_MED = Declared(
    "lg_api_pending_unblocked_runs_wait_time_med", "gauge", "Median of the same waiting times.", "seconds"
)
PENDING_LIMIT = Declared(
    "waystation_pending_runs_limit", "gauge", "Runs that may be pending; 0 for any number.", "runs"
)
REFUSED = Declared(
    "waystation_refused_runs_total", "counter", "Runs not created because too many were pending.", "runs"
)
BUS_CONNECTED = Declared("waystation_bus_connected", "gauge", "Whether Redis answers; only if there is one.", "boolean")
WRITE_QUEUE = Declared("waystation_database_write_queue", "gauge", "Writes that wait for the writer.", "writes")
WRITES = Declared("waystation_database_writes_total", "counter", "Writes carried out.", "writes")
COMMITS = Declared("waystation_database_commits_total", "counter", "Transactions that carried writes out.", "commits")
READERS = Declared("waystation_database_readers", "gauge", "Connections that may read at the same time.", "connections")
READING = Declared("waystation_database_reading", "gauge", "Connections that are reading.", "connections")

METRICS = (
    HTTP_REQUESTS,
    HTTP_LATENCY,
    WORKERS_MAX,
    WORKERS_ACTIVE,
    WORKERS_AVAILABLE,
    PENDING,
    RUNNING,
    WAIT_MAX,
    WAIT_MED,
    UNBLOCKED,
    UNBLOCKED_WAIT_MAX,
    UNBLOCKED_WAIT_MED,
    PENDING_LIMIT,
    REFUSED,
    BUS_CONNECTED,
    WRITE_QUEUE,
    WRITES,
    COMMITS,
    READERS,
    READING,
)
"""The registry. Besides these the text has ``process_*`` from the Prometheus client."""

_DATABASE = {"write_queue": WRITE_QUEUE, "writes": WRITES, "commits": COMMITS, "readers": READERS, "reading": READING}
"""By the names of `Database.statistics`."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the parts of the server report when asked. A part that cannot answer is None and left out."""

    queue: QueueFigures | None = None
    workers: WorkerFigures | None = None
    database: Mapping[str, Any] = field(default_factory=dict)
    capacity: CapacityFigures | None = None
    bus_connected: bool | None = None
    """None for a bus within one process, which needs no connection."""


class Metrics:
    """The counters of one server. Requests are counted on its event loop, which needs no lock."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._latency: dict[tuple[str, str], _Latency] = {}

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered request; `path` is the template of its route."""
        key = (method, path, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        latency = self._latency.get(key[:2])
        if latency is None:
            latency = self._latency[key[:2]] = _Latency()
        latency.observe(seconds * 1000)

    def as_text(self, figures: Figures) -> bytes:
        """All metrics in the Prometheus text format."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Families([*self._http(), *_families(figures)]))
        return generate_latest(registry)

    def as_json(self, figures: Figures) -> dict[str, Any]:
        """The same figures in the shape of ``/metrics?format=json``."""
        return {
            **({} if figures.queue is None else {"queue": _queue_json(figures.queue)}),
            "api": {
                "http_requests_total": [
                    {"method": method, "path": path, "status": status, "count": count}
                    for (method, path, status), count in self._requests.items()
                ],
                "http_requests_latency": [
                    {"method": method, "path": path, "count": latency.count, "sum_ms": latency.total}
                    for (method, path), latency in self._latency.items()
                ],
            },
            **({} if figures.workers is None else {"workers": _workers_json(figures.workers)}),
            **({} if figures.bus_connected is None else {"redis": {"connected": figures.bus_connected}}),
        }

    def _http(self) -> Iterator[Metric]:
        requests = HTTP_REQUESTS.family()
        for (method, path, status), count in self._requests.items():
            requests.add_metric([method, path, str(status)], count)
        yield requests
        latencies = HTTP_LATENCY.family()
        for labels, latency in self._latency.items():
            latencies.add_metric(list(labels), latency.cumulative(), latency.total)
        yield latencies


class _Latency:
    """A histogram of milliseconds."""

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_MS) + 1)
        self.count = 0
        self.total = 0.0

    def observe(self, ms: float) -> None:
        self.buckets[bisect_left(BUCKETS_MS, ms)] += 1
        self.count += 1
        self.total += ms

    def cumulative(self) -> list[tuple[str, float]]:
        bounds = [*map(str, BUCKETS_MS), "+Inf"]
        sums = 0
        found = []
        for bound, count in zip(bounds, self.buckets, strict=True):
            sums += count
            found.append((bound, float(sums)))
        return found


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
            PENDING: queue.pending,
            RUNNING: queue.running,
            WAIT_MAX: queue.wait_max_s or 0,
            WAIT_MED: queue.wait_med_s or 0,
            UNBLOCKED: queue.unblocked_pending,
            UNBLOCKED_WAIT_MAX: queue.unblocked_wait_max_s or 0,
            UNBLOCKED_WAIT_MED: queue.unblocked_wait_med_s or 0,
        }
    if (workers := figures.workers) is not None:
        values |= {WORKERS_MAX: workers.max, WORKERS_ACTIVE: workers.active, WORKERS_AVAILABLE: workers.available}
    if (capacity := figures.capacity) is not None:
        values |= {PENDING_LIMIT: capacity.limit, REFUSED: capacity.refused}
    if figures.bus_connected is not None:
        values[BUS_CONNECTED] = figures.bus_connected
    values |= {_DATABASE[name]: value for name, value in figures.database.items() if name in _DATABASE}
    for declared, value in values.items():
        family = declared.family()
        family.add_metric([], value)
        yield family


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
