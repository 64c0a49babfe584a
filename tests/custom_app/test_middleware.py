"""A custom app's middleware, exception handlers and CORS policy are around the API as well (spec 20)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.conftest import connected, project_config, served
from tests.custom_app.conftest import Customized
from tests.custom_app.given import configured
from tests.driver import eventually
from tests.gate import Gate
from tests.live import listening
from waystation.app import create_app
from waystation.config import HttpConfig

ORIGIN = {"Origin": "https://page.example"}


class Stamp:
    """Pure ASGI middleware: a header on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", b"yes")]
            await send(message)

        await self.app(scope, receive, stamped)


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def test_middleware_is_around_everything(customized: Customized) -> None:
    app = Starlette(routes=[Route("/hello", hello)], middleware=[Middleware(Stamp)])
    async with customized(app) as http:
        for path in ("/hello", "/ok", "/info", "/openapi.json", "/nothing", "/threads/not-a-uuid"):
            assert (await http.get(path)).headers["x-stamp"] == "yes", path
        body = {"assistant_id": "steps", "input": {"n": 0}}
        async with http.stream("POST", "/runs/stream", json=body) as response:
            assert response.headers["x-stamp"] == "yes"
            assert "event: values" in "".join([part async for part in response.aiter_text()])


async def test_middleware_that_reads_bodies_and_answers_itself(customized: Customized) -> None:
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Any:
        if b"forbidden" in await request.body():
            return PlainTextResponse("no", 403)
        return await call_next(request)

    async with customized(app) as http:
        refused = await http.post("/threads", json={"metadata": {"a": "forbidden"}}, headers=ORIGIN)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (403, "*")
        thread = (await http.post("/threads", json={"metadata": {"a": "fine"}})).json()
        assert thread["metadata"] == {"a": "fine"}


async def test_what_the_api_found_out_is_there_for_middleware(customized: Customized) -> None:
    seen = []
    app = FastAPI()

    @app.middleware("http")
    async def look(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append(request.scope["route"].path)
        return response

    async with customized(app) as http:
        await http.post("/threads/search", json={})
    assert seen == ["/threads/search"]


async def test_streams_under_middleware_of_the_decorated_kind(tmp_path: Path, gate: Gate) -> None:
    """Each piece arrives when it is there, and a client that goes away is noticed."""
    app = FastAPI()

    @app.middleware("http")
    async def stamp(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-stamp"] = "yes"
        return response

    with listening(create_app(project_config(tmp_path, http=configured(app), heartbeat_s=0.1))) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            thread = (await http.post("/threads", json={})).json()["thread_id"]
            body = {"assistant_id": "ticking", "input": gate.state, "stream_mode": "custom", "on_disconnect": "cancel"}
            async with http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
                assert response.headers["x-stamp"] == "yes"
                async for line in response.aiter_lines():
                    if line.startswith("event: custom"):
                        break  # it ticks on

            async def cancelled() -> bool:
                (run,) = (await http.get(f"/threads/{thread}/runs")).json()
                return bool(run["status"] == "interrupted")

            await eventually(cancelled, "the run being cancelled")


# --- errors


async def test_errors_of_custom_routes_look_like_those_of_the_api(customized: Customized) -> None:
    async def refuse(_request: Request) -> Response:
        raise HTTPException(409, "taken")

    async with customized(Starlette(routes=[Route("/refuse", refuse)])) as http:
        response = await http.get("/refuse")
        assert (response.status_code, response.json()) == (409, {"detail": "taken"})


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
async def test_handlers_of_the_app_come_first(customized: Customized, kind: Any) -> None:
    async def http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"mine": error.detail}, error.status_code)

    def not_found(_request: Request, error: Exception) -> Response:
        return PlainTextResponse("nowhere", 404)

    app = kind(exception_handlers={HTTPException: http_error, 404: not_found})
    async with customized(app) as http:
        assert (await http.get("/nothing")).text == "nowhere"
        assert (await http.get("/threads/00000000-0000-4000-8000-000000000000")).text == "nowhere"
        invalid = await http.get("/threads/x")
        assert (invalid.status_code, list(invalid.json())) == (422, ["mine"])
        assert (await http.delete("/threads")).json() == {"mine": "Method Not Allowed"}


async def test_errors_nobody_expects(customized: Customized) -> None:
    async def fail(_request: Request) -> Response:
        raise RuntimeError("a secret")

    async def apologise(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"sorry": True}, 500)

    routes = [Route("/fail", fail)]
    async with customized(Starlette(routes=routes)) as http:
        response = await http.get("/fail")
        assert (response.status_code, "secret" in response.text) == (500, False)
    async with customized(Starlette(routes=routes, exception_handlers={Exception: apologise})) as http:
        response = await http.get("/fail")
        assert (response.status_code, response.json()) == (500, {"sorry": True})


# --- CORS


async def test_cors_is_around_custom_routes(customized: Customized) -> None:
    app = Starlette(routes=[Route("/hello", hello)])
    async with customized(app) as http:
        assert (await http.get("/hello", headers=ORIGIN)).headers["access-control-allow-origin"] == "*"
    async with customized(app, cors={"allow_origins": ["https://page.example"], "allow_methods": ["POST"]}) as http:
        asked = {**ORIGIN, "Access-Control-Request-Method": "POST"}
        preflight = await http.options("/hello", headers=asked)
        assert preflight.headers["access-control-allow-origin"] == "https://page.example"
        assert (
            "access-control-allow-origin"
            not in (await http.get("/hello", headers={"Origin": "https://x.example"})).headers
        )


async def test_answers_to_requests_without_an_origin_are_marked_for_caches(customized: Customized) -> None:
    async def varied(_request: Request) -> Response:
        return PlainTextResponse("hello", headers={"Vary": "Accept"})

    async with customized(Starlette(routes=[Route("/hello", hello), Route("/varied", varied)])) as http:
        for origin in ({}, ORIGIN):
            assert (await http.get("/hello", headers=origin)).headers["vary"] == "Origin"
            assert (await http.get("/varied", headers=origin)).headers["vary"] == "Accept, Origin"


async def test_a_policy_of_the_app_is_not_overruled_by_the_default(customized: Customized) -> None:
    policy = Middleware(CORSMiddleware, allow_origins=["https://page.example"], allow_methods=["GET"])
    async with customized(Starlette(routes=[Route("/hello", hello)], middleware=[policy])) as http:
        for path in ("/hello", "/info"):
            assert (await http.get(path, headers=ORIGIN)).headers[
                "access-control-allow-origin"
            ] == "https://page.example"
            other = await http.get(path, headers={"Origin": "https://other.example"})
            assert "access-control-allow-origin" not in other.headers


# --- without a custom app


async def test_nothing_is_added_without_a_custom_app(tmp_path: Path) -> None:
    """What a request passes through on a server that has none: a layer more costs every run."""
    async with served(tmp_path, http=HttpConfig()) as app, connected(app) as http:
        await http.get("/ok")
        layers = []
        layer: Any = app.middleware_stack
        while layer is not app.router:
            layers.append(type(layer).__name__)
            layer = getattr(layer, "app", None) or layer._app
        assert layers == ["ServerErrorMiddleware", "RequestIds", "HttpMetrics", "Cors", "ExceptionMiddleware"]
        assert type(app.router.default).__name__ == "Dispatcher"
