"""The figures of one server, and their JSON form (spec 16); `waystation.observability.exposition` has the text.

Figures that some part keeps anyway (queue, workers, database) are read when somebody asks; what happens is counted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from waystation.observability.figures import BusFigures, CapacityFigures, QueueFigures, WorkerFigures
from waystation.observability.tallies import Gauge, Tally, Timings

__all__ = ["Figures", "Metrics"]

REQUEST_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Upper bounds: from a cached answer to a client that waits for a long run."""

RUN_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400)
"""From an echo to an agent that works for hours."""


class Figures(Struct, frozen=True):
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
