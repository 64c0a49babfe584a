"""Every metric is declared, and HTTP requests are counted under labels that no client can make up."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from waystation.http.application import application
from waystation.http.router import Router
from waystation.observability.declared import METRICS
from waystation.observability.exposition import as_text
from waystation.observability.figures import BusFigures, CapacityFigures, QueueFigures, WorkerFigures
from waystation.observability.http_metrics import HttpMetrics
from waystation.observability.metrics import Figures, Metrics

FIGURES = Figures(
    QueueFigures(1, 1, 1.0, 1.0, 1, 1.0, 1.0),
    WorkerFigures(1, 1, 0),
    {"write_queue": 1, "writes": 5, "commits": 2, "readers": 9, "reading": 1, "something else": 3},
    CapacityFigures(limit=10, refused=2),
    BusFigures(connected=True, lag_s=0.001),
)


def test_what_is_exposed_is_what_is_declared() -> None:
    metrics = Metrics()
    metrics.count_request("GET", "/ok", 200, 0.001)
    metrics.run_s.observe(0.5, "success")
    metrics.wait_s.observe(0.1)
    metrics.crons.add("fired")
    metrics.webhooks.add("delivered")
    exposed = {}
    for family in text_string_to_metric_families(as_text(metrics, FIGURES).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        exposed[name] = family
    ours = {name: family for name, family in exposed.items() if not name.startswith("process_")}
    assert set(ours) == {declared.name for declared in METRICS}
    for declared in METRICS:
        family = ours[declared.name]
        assert family.type == declared.kind
        assert family.documentation == f"{declared.help} [{declared.unit}]"
        assert all(set(declared.labels) == set(sample.labels) - {"le"} for sample in family.samples)


def test_latencies_fall_into_cumulative_buckets_of_milliseconds() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 0.2, 1000):
        metrics.count_request("GET", "/ok", 200, seconds)
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(as_text(metrics, Figures()).decode())
        for sample in family.samples
    }
    name = "lg_api_http_requests_latency"
    bounds = ["1", "2.5", "100", "250", "300000", "+Inf"]
    assert [samples[f"{name}_bucket", bound] for bound in bounds] == [1, 2, 2, 3, 3, 4]
    assert samples[f"{name}_count", None] == 4
    assert samples[f"{name}_sum", None] == pytest.approx(1_000_202.1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def api(metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    router = Router()

    @router.get("/threads/{thread_id}/runs/{run_id}")
    async def run(request: Request, thread_id: str, run_id: str) -> Response:
        return Response(run_id)

    @router.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            assert counted(metrics) == []
            yield b"b"

        return StreamingResponse(parts())

    @router.get("/crash")
    async def crash(request: Request) -> Response:
        raise OSError

    async def thing(request: Request) -> Response:
        return Response(request.path_params["thing"])

    app = application([router], None, middleware=[Middleware(HttpMetrics, metrics=metrics)])
    app.mount("/inner", Starlette(routes=[Route("/things/{thing}", thing)]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics") as client:
        yield client


def counted(metrics: Metrics) -> list[tuple[Any, ...]]:
    return [tuple(one.values()) for one in metrics.as_json(Figures())["api"]["http_requests_total"]]


async def test_requests_are_counted_by_route_not_by_path(api: httpx.AsyncClient, metrics: Metrics) -> None:
    await api.get("/threads/t1/runs/r1")
    await api.get("/threads/t2/runs/r2?x=1")
    await api.get("/inner/things/5")
    assert counted(metrics) == [
        ("GET", "/threads/{thread_id}/runs/{run_id}", 200, 2),
        ("GET", "/inner/things/{thing}", 200, 1),
    ]


async def test_what_no_route_takes_is_counted_under_one_label(api: httpx.AsyncClient, metrics: Metrics) -> None:
    await api.get("/nothing/1")
    await api.get("/nothing/2")
    await api.request("BREW", "/nothing/3")
    await api.delete("/stream")
    assert counted(metrics)[:2] == [("GET", "(none)", 404, 2), ("OTHER", "(none)", 404, 1)]
    assert counted(metrics)[2][0::2] == ("DELETE", 405)


async def test_a_stream_is_counted_when_it_ends(api: httpx.AsyncClient, metrics: Metrics) -> None:
    assert (await api.get("/stream")).text == "ab"
    assert counted(metrics) == [("GET", "/stream", 200, 1)]


async def test_a_crash_is_counted_as_500(api: httpx.AsyncClient, metrics: Metrics) -> None:
    assert (await api.get("/crash")).status_code == 500
    assert counted(metrics) == [("GET", "/crash", 500, 1)]


def test_names_follow_the_conventions() -> None:
    names = [declared.name for declared in METRICS]
    assert len(set(names)) == len(names)
    for declared in METRICS:
        assert re.fullmatch(r"(lg_api|waystation)_[a-z_0-9]+", declared.name)
        assert (declared.kind == "counter") == declared.name.endswith("_total")
