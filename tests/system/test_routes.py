"""Health, information and metrics (spec 16)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from waystation import __version__
from waystation.http.router import Router
from waystation.observability.figures import QueueFigures
from waystation.storage.sqlite import READERS, SqliteDatabase
from waystation.system import health


@pytest.mark.parametrize("path", ["/ok", "/"])
async def test_health(api: httpx.AsyncClient, path: str) -> None:
    for query in ("", "?check_db=0"):
        response = await api.get(path + query)
        assert (response.status_code, response.json()) == (200, {"ok": True, "services": {}})
    response = await api.get(path + "?check_db=1")
    assert (response.status_code, response.json()) == (200, {"ok": True, "services": {"database": "healthy"}})


async def test_health_of_a_database_that_is_gone(api: httpx.AsyncClient, db: SqliteDatabase) -> None:
    await db.close()
    assert (await api.get("/ok")).status_code == 200
    response = await api.get("/ok?check_db=1")
    assert response.status_code == 503
    assert response.json()["services"] == {"database": "unhealthy"}
    assert response.json()["ok"] is False
    assert "The database fails" in response.json()["detail"]


async def test_health_of_a_database_that_does_not_answer(
    api: httpx.AsyncClient, db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_TIMEOUT_S", 0.05)
    release, blocked = threading.Event(), threading.Semaphore(0)

    def block(_conn: Connection) -> None:
        blocked.release()
        release.wait()

    blockers = [threading.Thread(target=db.read_blocking, args=(block,)) for _ in range(READERS)]
    for blocker in blockers:
        blocker.start()
    for _ in blockers:
        blocked.acquire()
    try:
        response = await api.get("/ok?check_db=1")
    finally:
        release.set()
        for blocker in blockers:
            blocker.join()
    assert response.json()["services"] == {"database": "unhealthy"}
    assert "does not answer within" in response.json()["detail"]
    assert response.status_code == 503


async def test_a_process_without_redis_goes_on_and_says_so(make_app: Callable[..., Starlette]) -> None:
    app = make_app(redis_uri="redis://localhost")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://system") as api:
        for connected, health in ((True, "healthy"), (False, "unhealthy")):
            app.state.server.bus.connected = connected
            response = await api.get("/ok?check_db=1")
            assert (response.status_code, response.json()["ok"]) == (200, True)
            assert response.json()["services"] == {"database": "healthy", "redis": health}
            assert f"waystation_bus_connected {float(connected)}" in (await api.get("/metrics")).text
            assert (await api.get("/metrics?format=json")).json()["redis"] == {"connected": connected}


async def test_a_process_that_executes_no_runs(api: httpx.AsyncClient, app: Starlette) -> None:
    app.state.server.worker = None
    assert (await api.get("/metrics?format=json")).json()["workers"] == {"max": 0, "active": 0, "available": 0}


async def test_a_check_that_means_nothing(api: httpx.AsyncClient) -> None:
    response = await api.get("/ok?check_db=perhaps")
    assert response.status_code == 422
    assert "check_db" in response.json()["detail"]


async def test_info(api: httpx.AsyncClient) -> None:
    info = (await api.get("/info")).json()
    assert info["version"] == __version__
    assert info["langgraph_py_version"].startswith("1.")
    assert info["host"]["kind"] == "self-hosted"
    assert set(info["host"]) == {"kind", "project_id", "host_revision_id", "revision_id", "tenant_id"}
    assert isinstance(info["metadata"], dict)
    assert set(info["flags"]) == {
        "assistants",
        "crons",
        "langsmith",
        "langsmith_tracing_replicas",
        "langsmith_tracing_session_on_runs",
    }


async def test_flags_say_what_is_routed(api: httpx.AsyncClient, app: Starlette) -> None:
    routes = Router()

    @routes.post("/assistants/search")
    async def search(_: Request) -> Response:
        return Response()

    app.state.dispatcher.include(routes)
    flags = (await api.get("/info")).json()["flags"]
    assert (flags["assistants"], flags["crons"]) == (True, False)


async def test_metrics_for_prometheus(api: httpx.AsyncClient, app: Starlette) -> None:
    app.state.server.engine.queue = QueueFigures(2, 1, 4.5, 3.5, 1, 4.0, 4.0)
    await api.get("/store/items?namespace=a&key=k")
    await api.get("/store/items?namespace=a&key=k")
    await api.get("/store/items?namespace=a")
    response = await api.get("/metrics?format=unheard-of")
    assert response.headers["content-type"].startswith("text/plain; version=1.0.0")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples[("lg_api_num_pending_runs",)] == 2
    assert samples[("lg_api_num_running_runs",)] == 1
    assert samples[("lg_api_pending_runs_wait_time_max",)] == 4.5
    assert samples[("lg_api_pending_unblocked_runs_wait_time_max",)] == 4.0
    assert samples[("lg_api_workers_max",)] == 64
    assert samples[("lg_api_workers_active",)] == 3
    assert samples[("lg_api_workers_available",)] == 61
    assert samples[("waystation_database_writes_total",)] >= 1
    assert samples[("waystation_pending_runs_limit",)] == 100
    assert samples[("waystation_refused_runs_total",)] == 0
    assert ("waystation_bus_connected",) not in samples
    route = (("method", "GET"), ("path", "/store/items"))
    assert samples[("lg_api_http_requests_total", *route, ("status", "200"))] == 2
    assert samples[("lg_api_http_requests_total", *route, ("status", "400"))] == 1
    assert samples[("lg_api_http_requests_latency_count", *route)] == 3
    assert samples[("lg_api_http_requests_latency_bucket", ("le", "+Inf"), *route)] == 3


async def test_metrics_as_json(api: httpx.AsyncClient, app: Starlette) -> None:
    await api.get("/ok")
    body = (await api.get("/metrics?format=json")).json()
    assert body["workers"] == {"max": 64, "active": 3, "available": 61}
    assert body["api"]["http_requests_total"] == [{"method": "GET", "path": "/ok", "status": 200, "count": 1}]
    assert body["queue"] == {
        "n_pending": 0,
        "n_running": 0,
        "pending_runs_wait_time_max_secs": None,
        "pending_runs_wait_time_med_secs": None,
        "n_pending_unblocked": 0,
        "pending_unblocked_runs_wait_time_max_secs": None,
        "pending_unblocked_runs_wait_time_med_secs": None,
    }
    app.state.server.engine.queue = QueueFigures(2, 1, 4.5, 3.5, 1, 4.0, 4.0)
    queue = (await api.get("/metrics?format=json")).json()["queue"]
    assert list(queue.values()) == [2, 1, 4.5, 3.5, 1, 4.0, 4.0]


async def test_metrics_survive_a_queue_that_cannot_be_counted(api: httpx.AsyncClient, app: Starlette) -> None:
    async def fail() -> QueueFigures:
        raise OSError("disk gone")

    app.state.server.engine.queue_figures = fail
    response = await api.get("/metrics")
    assert response.status_code == 200
    assert "lg_api_num_pending_runs" not in response.text
    assert "lg_api_workers_max 64.0" in response.text
    assert "queue" not in (await api.get("/metrics?format=json")).json()


async def test_without_meta_only_ok_remains(make_app: Callable[..., Starlette]) -> None:
    app = make_app(frozenset({"meta"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://system") as api:
        assert (await api.get("/ok?check_db=1")).json() == {"ok": True}
        for path in ("/", "/info", "/metrics", "/docs", "/openapi.json"):
            response = await api.get(path)
            assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
