"""The routes of a custom app beside those of the API: who answers what (spec 20)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from structlog.testing import capture_logs

from tests.conftest import connected, served
from tests.custom_app.conftest import Customized
from tests.custom_app.given import configured


def says(text: str) -> Any:
    async def endpoint(_request: Request) -> Response:
        return PlainTextResponse(text)

    return endpoint


async def test_routes_of_a_starlette_app(customized: Customized, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("a page")
    inner = Starlette(routes=[Route("/deep/{name}", says("deep"))])
    app = Starlette(
        routes=[
            Route("/hello", says("hello")),
            Mount("/files", StaticFiles(directory=tmp_path)),
            Mount("/inner", inner),
        ]
    )
    async with customized(app) as http:
        assert (await http.get("/hello")).text == "hello"
        assert (await http.get("/files/page.html")).text == "a page"
        assert (await http.get("/inner/deep/x")).text == "deep"
        assert (await http.get("/inner/nothing")).status_code == 404
        run = await http.post("/runs/wait", json={"assistant_id": "echo", "input": {"x": "a"}})
        assert run.json()["x"] == "a!"


async def test_routes_of_a_fastapi_app(customized: Customized) -> None:
    app = FastAPI()
    router = APIRouter(prefix="/items")

    def doubled(number: int) -> int:
        return number * 2

    @router.get("/{number}")
    async def item(twice: int = Depends(doubled)) -> dict[str, int]:
        return {"twice": twice}

    app.include_router(router, prefix="/v1")
    async with customized(app) as http:
        assert (await http.get("/v1/items/4")).json() == {"twice": 8}
        invalid = await http.get("/v1/items/four")
        assert (invalid.status_code, invalid.json()["detail"][0]["loc"]) == (422, ["path", "number"])
        assert (await http.post("/threads", json={})).status_code == 200


async def test_what_can_be_shadowed_and_what_cannot(customized: Customized) -> None:
    paths = ["/", "/info", "/ok", "/metrics", "/docs", "/openapi.json", "/threads/search", "/assistants/{x}/graph"]
    app = Starlette(routes=[Route(path, says("mine"), methods=["GET", "POST"]) for path in paths])
    async with customized(app) as http:
        for path in ("/", "/info", "/threads/search", "/assistants/echo/graph"):
            assert (await http.get(path)).text == "mine", path
        assert (await http.post("/threads/search", json={})).text == "mine"
        for path in ("/ok", "/metrics", "/docs", "/openapi.json"):
            response = await http.get(path)
            assert response.status_code == 200
            assert response.text != "mine", path
        assert (await http.post("/assistants/search", json={})).text != "mine"


async def test_shadowing_is_said_in_the_log(customized: Customized) -> None:
    app = Starlette(routes=[Route("/threads", says("mine"), methods=["POST"])])
    with capture_logs() as logs:
        async with customized(app, mount_prefix="/api"):
            pass
    (entry,) = [entry for entry in logs if "in place of the API" in entry["event"]]
    assert entry["operations"] == "POST /api/threads"


async def test_a_mount_of_everything_leaves_what_cannot_be_shadowed(customized: Customized) -> None:
    app = Starlette(routes=[Mount("/", Starlette(routes=[Route("/page", says("page"))]))])
    async with customized(app) as http:
        assert (await http.get("/page")).text == "page"
        assert (await http.get("/ok")).json() == {"ok": True, "services": {}}
        assert (await http.post("/threads", json={})).status_code == 404


async def test_one_path_with_methods_of_both(customized: Customized) -> None:
    app = Starlette(routes=[Route("/threads", says("mine"), methods=["GET"]), Route("/own", says("own"))])
    async with customized(app) as http:
        assert (await http.get("/threads")).text == "mine"
        assert "thread_id" in (await http.post("/threads", json={})).json()
        refused = await http.delete("/threads")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
        refused = await http.post("/own")
        assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
        refused = await http.get("/threads/search")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
async def test_what_nobody_has(customized: Customized, kind: Any) -> None:
    async with customized(kind()) as http:
        for path in ("/nothing", "/threads/"):
            response = await http.get(path)
            assert (response.status_code, response.json()) == (404, {"detail": "Not Found"}), path


async def test_slashes_are_redirected_for_custom_routes_only(customized: Customized) -> None:
    app = Starlette(routes=[Route("/pages/", says("pages")), Route("/threads/search/", says("mine"))])
    async with customized(app) as http:
        redirect = await http.get("/pages")
        assert (redirect.status_code, redirect.headers["location"]) == (307, "http://waystation/pages/")
        assert (await http.post("/threads/search", json={})).json() == []


async def test_the_app_finds_its_own_things(customized: Customized) -> None:
    """``request.app`` is the custom app, in its routes and in its middleware, also around routes of the API."""
    seen = []

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(f"{request.app.state.greeting} {request.url_for('hello')}")

    app = FastAPI()
    app.add_route("/hello", endpoint, name="hello")
    app.state.greeting = "hi"

    @app.middleware("http")
    async def look(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append((request.app is app, request.app.state.greeting))
        return response

    async with customized(app) as http:
        assert (await http.get("/hello")).text == "hi http://waystation/hello"
        assert (await http.get("/info")).status_code == 200
    assert seen == [(True, "hi")] * 2


async def test_requests_are_counted_by_route(customized: Customized) -> None:
    app = Starlette(routes=[Route("/hello/{name}", says("hello"))])
    async with customized(app, mount_prefix="/api") as http:
        await http.get("/api/hello/you")
        await http.post("/api/threads/search", json={})
        await http.get("/api/nothing")
        counted = (await http.get("/metrics?format=json")).json()["api"]["http_requests_total"]
    assert [(each["path"], each["status"]) for each in counted] == [
        ("/api/hello/{name}", 200),
        ("/api/threads/search", 200),
        ("(none)", 404),
    ]


async def test_two_servers_with_one_app(tmp_path: Path) -> None:
    app = Starlette(routes=[Route("/hello", says("hello"))])
    async with (
        served(tmp_path / "one", http=configured(app)) as first,
        served(tmp_path / "two", http=configured(app)) as second,
        connected(first) as one,
        connected(second) as two,
    ):
        assert (await one.get("/hello")).text == (await two.get("/hello")).text == "hello"
        thread = (await one.post("/threads", json={})).json()["thread_id"]
        assert (await one.get(f"/threads/{thread}")).status_code == 200
        assert (await two.get(f"/threads/{thread}")).status_code == 404
