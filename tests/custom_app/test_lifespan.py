"""A custom app's lifespan is within that of the server (spec 20)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from langgraph_sdk import get_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from tests.conftest import connected, project_config, served
from tests.custom_app.given import configured
from tests.live import listening
from waystation.app import create_app
from waystation.errors import ConfigError


async def state(request: Request) -> Response:
    return JSONResponse(request.state.pool)


async def test_it_is_within_that_of_the_server(tmp_path: Path) -> None:
    told: list[Any] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        client = get_client()
        told.append((await client.assistants.search(graph_id="echo"))[0]["name"])  # the server is there
        app.state.ready = True
        yield
        told.append(await client.threads.count())  # and is there still
        await client.aclose()

    app = Starlette(lifespan=lifespan)
    async with served(tmp_path, http=configured(app)):
        assert told == ["echo"]
        assert app.state.ready
    assert told == ["echo", 0]


async def test_runs_are_over_when_it_ends(tmp_path: Path) -> None:
    running: list[int] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        running.append(server.state.server.worker.figures().active)

    async with served(tmp_path, http=configured(Starlette(lifespan=lifespan))) as server, connected(server) as http:
        await http.post("/runs", json={"assistant_id": "sleeper", "input": {"n": 60}})
    assert running == [0]


def test_its_state_reaches_requests(tmp_path: Path) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": ["connection"]}

    app = Starlette(routes=[Route("/state", state)], lifespan=lifespan)
    with listening(create_app(project_config(tmp_path, http=configured(app)))) as server:
        assert httpx.get(f"{server.url}/state").json() == ["connection"]


async def test_its_state_reaches_calls_from_within(tmp_path: Path) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": ["connection"]}

    async def ask(_request: Request) -> Response:
        async with get_client() as client:
            return JSONResponse(await client.http.get("/state"))

    app = Starlette(routes=[Route("/state", state), Route("/ask", ask)], lifespan=lifespan)
    async with served(tmp_path, http=configured(app)) as server, connected(server) as http:
        assert (await http.get("/ask")).json() == ["connection"]


async def test_lifespans_of_routers_run_too(tmp_path: Path) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        told.append("begin")
        yield
        told.append("end")

    app = FastAPI()
    app.include_router(APIRouter(lifespan=lifespan))
    async with served(tmp_path, http=configured(app)):
        assert told == ["begin"]
    assert told == ["begin", "end"]


async def test_one_that_fails_stops_the_start_and_closes_the_server(tmp_path: Path) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        raise ConnectionError("no queue at queue.example")
        yield

    with pytest.raises(
        ConfigError, match=r"the lifespan of tests.custom_app.given:app failed .*ConnectionError: no queue"
    ):
        async with served(tmp_path, http=configured(Starlette(lifespan=lifespan))):
            pass
    async with served(tmp_path):  # the data directory is free again
        pass


async def test_one_that_fails_at_its_end_is_logged(tmp_path: Path) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        raise ConnectionError("gone already")

    with capture_logs() as logs:
        async with served(tmp_path, http=configured(Starlette(lifespan=lifespan))):
            pass
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert "gone already" in str(entry["exc_info"])
    async with served(tmp_path):
        pass
