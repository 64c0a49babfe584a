"""`waystation serve --api-only` and `waystation worker`: clients here, runs there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.cli.command import Command
from tests.conftest import connected, project_config
from tests.driver import Driver, eventually
from tests.fleet.conftest import Launch
from tests.fleet.stopping import refuses_connections
from tests.gate import Gate
from waystation.app import create_app
from waystation.errors import ConfigError

ALL = ["first", "gate", "last"]


def url_of_worker(worker: Command) -> str:
    return worker.wait_for(r"Health +(\S+)/ok")


def test_a_worker_answers_for_itself_only(launch: Launch) -> None:
    url = url_of_worker(launch("worker", "--port", "0", "--n-jobs-per-worker", "7"))
    with httpx.Client(base_url=url, timeout=30) as client:
        assert client.get("/ok").json() == {"ok": True, "services": {}}
        ready = client.get("/ok?check_db=1")
        assert (ready.status_code, ready.json()["services"]) == (200, {"database": "healthy", "redis": "healthy"})
        assert client.get("/info").json()["flags"]["assistants"] is False
        assert client.get("/metrics?format=json").json()["workers"] == {"max": 7, "active": 0, "available": 7}
        assert client.post("/threads", json={}).status_code == 404


async def test_runs_are_executed_elsewhere_and_survive_their_worker(launch: Launch, gate: Gate) -> None:
    """A worker that stops hands its run to another; the client waits on as if nothing had happened."""
    api = launch("serve", "--api-only", "--port", "0")
    first = launch("worker", "--port", "0", BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS="0.1")
    async with httpx.AsyncClient(base_url=api.url, timeout=60, verify=False) as client:
        driver = Driver(client)
        metrics = (await client.get("/metrics?format=json")).json()
        assert metrics["workers"] == {"max": 0, "active": 0, "available": 0}
        thread = await driver.thread()
        waiting = asyncio.create_task(driver.wait(thread, "gated", gate.state))
        await gate.reached()
        second = launch("worker", "--port", "0")
        await asyncio.to_thread(url_of_worker, second)
        assert await asyncio.to_thread(first.stop) == 0
        await _active(url_of_worker(second))
        gate.open()
        assert (await waiting)["log"] == ALL


async def _active(url: str) -> None:
    """Wait until the worker at `url` executes a run."""
    async with httpx.AsyncClient(base_url=url, verify=False) as client:

        async def look() -> bool:
            return bool((await client.get("/metrics?format=json")).json()["workers"]["active"])

        await eventually(look, "the other worker taking the run")


async def test_how_long_messages_take_from_process_to_process(launch: Launch) -> None:
    api, worker = launch("serve", "--api-only", "--port", "0"), launch("worker", "--port", "0")
    worker_url = url_of_worker(worker)
    async with httpx.AsyncClient(base_url=api.url, timeout=60, verify=False) as client:
        driver = Driver(client)
        await driver.wait(await driver.thread(), "echo", {"x": "a"})
        for text in ((await client.get("/metrics")).text, (await client.get(f"{worker_url}/metrics")).text):
            (lag,) = re.findall(r"^waystation_bus_lag (\S+)$", text, re.MULTILINE)
            assert 0 <= float(lag) < 10


async def test_an_api_process_waits_for_the_runs_that_its_clients_wait_for(launch: Launch, gate: Gate) -> None:
    api, _worker = launch("serve", "--api-only", "--port", "0"), launch("worker")
    url = api.url
    async with httpx.AsyncClient(base_url=url, timeout=60, verify=False) as client:
        driver = Driver(client)
        thread = await driver.thread()
        waiting = asyncio.create_task(driver.wait(thread, "gated", gate.state))
        await gate.reached()
        stopped = asyncio.create_task(asyncio.to_thread(api.stop))
        await refuses_connections(url)
        gate.open()
        assert (await waiting)["log"] == ALL
        assert await stopped == 0


async def test_without_its_database_a_process_is_not_ready(tmp_path: Path, environ: Mapping[str, str]) -> None:
    uri = environ["DATABASE_URI"]
    app = create_app(project_config(tmp_path, database_uri=uri))
    async with app.router.lifespan_context(app), connected(app) as http:
        assert (await http.get("/ok?check_db=1")).json()["services"] == {"database": "healthy"}
        _let_in(uri, False)
        try:
            response = await http.get("/ok?check_db=1")
            assert (await http.get("/ok")).status_code == 200
        finally:
            _let_in(uri, True)
        assert response.status_code == 503
        assert response.json()["services"] == {"database": "unhealthy"}
        assert response.json()["detail"].startswith("The database ")

        async def ready() -> bool:
            return (await http.get("/ok?check_db=1")).status_code == 200

        await eventually(ready, "the database coming back")


def _let_in(uri: str, allowed: bool) -> None:
    """Let nobody into the database at `uri`, not even who is there already; or everybody again."""
    name = psycopg.conninfo.conninfo_to_dict(uri)["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(uri, dbname="postgres")
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(str(name)), sql.Literal(allowed))
        )
        if not allowed:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


async def test_without_redis_a_process_is_ready_and_says_what_is_missing(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    config = project_config(tmp_path, database_uri=environ["DATABASE_URI"], redis_uri="redis://127.0.0.1:1")
    app = create_app(config)
    async with app.router.lifespan_context(app), connected(app) as http:
        response = await http.get("/ok?check_db=1")
        assert (response.status_code, response.json()["ok"]) == (200, True)
        assert response.json()["services"] == {"database": "healthy", "redis": "unhealthy"}
        assert "waystation_bus_connected 0.0" in (await http.get("/metrics")).text
        assert (await Driver(http).wait(None, "echo", {"log": []})) is not None


@pytest.mark.sqlite
@pytest.mark.parametrize("role", ["api", "worker"])
def test_one_process_per_data_directory(tmp_path: Path, role: str) -> None:
    with pytest.raises(ConfigError, match="Set DATABASE_URI and REDIS_URI"):
        create_app(project_config(tmp_path / "data"), role=role)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()
