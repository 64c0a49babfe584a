"""A custom app on a server that is mounted below a prefix (spec 20)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from langgraph_sdk import get_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from tests.conftest import project_config
from tests.custom_app.conftest import Customized
from tests.custom_app.given import configured
from tests.live import LiveServer, listening
from waystation.app import create_app


async def where(request: Request) -> Response:
    return PlainTextResponse(f"{request.url.path} {request.url_for('where')}")


async def test_custom_routes_move_below_the_prefix(customized: Customized) -> None:
    app = Starlette(
        routes=[Route("/where", where, name="where"), Route("/", where), Mount("/below", routes=[Route("/x", where)])]
    )
    async with customized(app, mount_prefix="/api") as http:
        assert (await http.get("/api/where")).text == "/api/where http://waystation/api/where"
        assert (await http.get("/api/below/x")).status_code == 200
        assert (await http.get("/where")).status_code == 404
        assert (await http.get("/apiwhere")).status_code == 404
        assert (await http.get("/api/")).text.startswith("/api/ ")
        assert (await http.get("/")).json() == {"ok": True, "services": {}}
        for path in ("/ok", "/api/ok", "/metrics", "/api/metrics"):
            assert (await http.get(path)).status_code == 200, path


async def test_the_prefix_counts_whatever_the_app_takes_for_its_own(customized: Customized) -> None:
    app = FastAPI()
    app.root_path = "/elsewhere"
    app.add_route("/where", where, name="where")
    async with customized(app, mount_prefix="/api") as http:
        assert (await http.get("/api/where")).text == "/api/where http://waystation/api/where"
        assert (await http.post("/api/threads", json={})).status_code == 200


async def test_middleware_sees_the_whole_path(customized: Customized) -> None:
    seen = []
    app = FastAPI()

    @app.middleware("http")
    async def look(request: Request, call_next: Any) -> Any:
        seen.append((request.url.path, request.scope["root_path"]))
        return await call_next(request)

    async with customized(app, mount_prefix="/api") as http:
        await http.get("/api/info")
        await http.get("/ok")
    assert seen == [("/api/info", "/api"), ("/ok", "")]


async def test_documents(customized: Customized) -> None:
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    async with customized(app, mount_prefix="/api") as http:
        document = (await http.get("/api/openapi.json")).json()
        assert document["servers"] == [{"url": "/api"}]
        assert {"/hello", "/threads"} <= set(document["paths"])
        page = await http.get("/api/docs")
        assert "/hello" in page.text
        assert 'href="openapi.json"' in page.text  # relative: /api/openapi.json


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[LiveServer]:
    app = Starlette(
        routes=[Route("/old", lambda request: RedirectResponse(request.url_for("where"))), Route("/where", where)]
    )
    config = project_config(tmp_path, http=configured(app, mount_prefix="/api"), heartbeat_s=0.2)
    with listening(create_app(config)) as server:
        yield server


async def test_the_sdk_below_the_prefix(mounted: LiveServer) -> None:
    async with get_client(url=f"{mounted.url}/api") as client:
        thread = await client.threads.create()
        created: list[Any] = []
        parts = [
            part
            async for part in client.runs.stream(
                thread["thread_id"], "steps", input={"n": 0}, stream_resumable=True, on_run_created=created.append
            )
        ]
        assert parts[-1].data["n"] == 10
        assert created[0]["thread_id"] == thread["thread_id"]
        joined = [
            part async for part in client.runs.join_stream(thread["thread_id"], created[0]["run_id"], last_event_id="0")
        ]
        assert joined
        values: Any = await client.runs.wait(None, "echo", input={"x": "a"})
        assert values["x"] == "a!"
    async with httpx.AsyncClient(follow_redirects=True) as http:
        response = await http.get(f"{mounted.url}/api/old")
    assert response.text == f"/api/where {mounted.url}/api/where"


async def test_locations_are_relative_to_the_clients_url(mounted: LiveServer) -> None:
    """The SDK appends them to its URL, which has the prefix (spec 5.1)."""
    async with httpx.AsyncClient(base_url=f"{mounted.url}/api", timeout=30) as http:
        body = {"assistant_id": "echo", "input": {"x": "a"}, "on_completion": "keep", "stream_resumable": True}
        response = await http.post("/runs/stream", json=body)
        assert response.headers["content-location"].startswith("/runs/")
        again = await http.get(response.headers["location"], headers={"Last-Event-ID": "0"})
        assert "a!" in again.text
