"""The registry: every Prometheus metric of the server, with its name, help and unit (spec 16).

Names that begin with ``lg_api_`` are those of the official server, so that its dashboards work.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


class Declared(Struct, frozen=True):
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
RUNS = Declared("waystation_runs_total", "counter", "Runs that this process has ended.", "runs", ("status",))
RUN_TIME = Declared(
    "waystation_run_duration",
    "histogram",
    "Time from the start of a run's last attempt to its end.",
    "seconds",
    ("status",),
)
RUN_WAIT = Declared(
    "waystation_run_wait", "histogram", "Time from when a run was due until this process took it.", "seconds"
)
STREAMS = Declared("waystation_event_streams", "gauge", "Event streams that clients hold open.", "streams")
CRONS = Declared(
    "waystation_crons_total",
    "counter",
    "Times a cron was due here: it fired, or could not (`failed`).",
    "times",
    ("outcome",),
)
WEBHOOKS = Declared(
    "waystation_webhook_attempts_total",
    "counter",
    "Attempts to deliver a webhook: `delivered`, `retried` later, or given up (`failed`).",
    "attempts",
    ("outcome",),
)
BUS_LAG = Declared(
    "waystation_bus_lag", "gauge", "Time the newest message of another process took through Redis.", "seconds"
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
    RUNS,
    RUN_TIME,
    RUN_WAIT,
    STREAMS,
    CRONS,
    WEBHOOKS,
    BUS_CONNECTED,
    BUS_LAG,
    WRITE_QUEUE,
    WRITES,
    COMMITS,
    READERS,
    READING,
)
"""The registry. Besides these the text has ``process_*`` from the Prometheus client."""
