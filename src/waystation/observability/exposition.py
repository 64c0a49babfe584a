"""The Prometheus text of a server's metrics. Loaded when somebody asks for it: most servers are never asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from waystation.observability import declared
from waystation.observability.declared import Declared
from waystation.observability.metrics import Figures, Metrics
from waystation.observability.tallies import Labels

__all__ = ["CONTENT_TYPE", "as_text"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_DATABASE = {
    "write_queue": declared.WRITE_QUEUE,
    "writes": declared.WRITES,
    "commits": declared.COMMITS,
    "readers": declared.READERS,
    "reading": declared.READING,
}
"""By the names of `Database.statistics`."""


def as_text(metrics: Metrics, figures: Figures) -> bytes:
    """All metrics in the Prometheus text format."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Families([*_counted(metrics), *_families(figures)]))
    return generate_latest(registry)


def _counted(metrics: Metrics) -> Iterator[Metric]:
    tallies: dict[Declared, Iterable[tuple[Labels, int]]] = {
        declared.HTTP_REQUESTS: metrics.requests,
        declared.RUNS: ((status, ended.count) for status, ended in metrics.run_s),
        declared.CRONS: metrics.crons,
        declared.WEBHOOKS: metrics.webhooks,
    }
    for metric, tally in tallies.items():
        family = metric.family()
        for labels, count in tally:
            family.add_metric(labels, count)
        yield family
    timings = {
        declared.HTTP_LATENCY: metrics.latency_ms,
        declared.RUN_TIME: metrics.run_s,
        declared.RUN_WAIT: metrics.wait_s,
    }
    for metric, timing in timings.items():
        family = metric.family()
        for labels, histogram in timing:
            family.add_metric(labels, histogram.cumulative(), histogram.total)
        yield family
    yield _single(declared.STREAMS, metrics.streams.value)


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
