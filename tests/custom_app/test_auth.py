"""Who is asked for credentials on a server with a custom app, and when (spec 18.2, 20)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.auth.given import by_header
from tests.conftest import connected, served
from tests.custom_app.conftest import Customized
from tests.custom_app.given import configured
from waystation.auth import key_queries
from waystation.auth.keys import KeyOwner, new_key
from waystation.timestamps import now_us

ALICE = {"X-User": "alice", "X-Permissions": "read write"}


async def whoami(request: Request) -> Response:
    user = request.user
    return JSONResponse([user.is_authenticated, user.display_name, request.auth.scopes])


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


def an_app(**options: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/hello", hello),
            Route("/whoami", whoami),
            Route("/info", hello),
            Mount("/in", routes=[Route("/x", hello)]),
        ],
        **options,
    )


async def test_custom_routes_are_open_and_the_api_is_not(customized: Customized) -> None:
    async with customized(an_app(), auth=by_header()) as http:
        for path in ("/hello", "/in/x", "/info", "/ok"):
            assert (await http.get(path)).status_code == 200, path
        for method, path in (("POST", "/threads"), ("GET", "/nothing"), ("GET", "/hell"), ("POST", "/hello/deeper")):
            assert (await http.request(method, path, json={})).status_code == 401, path
        assert (await http.post("/threads", json={}, headers=ALICE)).status_code == 200
        assert (await http.get("/nothing", headers=ALICE)).status_code == 404


async def test_protected_custom_routes(customized: Customized) -> None:
    async with customized(an_app(), auth=by_header(), protect_app=True) as http:
        for path in ("/hello", "/in/x", "/whoami", "/info", "/nothing"):
            refused = await http.get(path)
            assert (refused.status_code, refused.json()) == (401, {"detail": "Who are you?"}), path
        assert (await http.get("/ok")).status_code == 200
        assert (await http.get("/in/x", headers=ALICE)).text == "hello"
        assert (await http.get("/whoami", headers=ALICE)).json() == [True, "alice", ["read", "write"]]
        assert (await http.get("/nothing", headers=ALICE)).status_code == 404


async def test_protected_without_any_authentication(customized: Customized) -> None:
    async with customized(an_app(), protect_app=True) as http:
        assert (await http.get("/whoami")).json() == [False, "", []]


async def test_protected_by_api_keys(tmp_path: Path) -> None:
    async with (
        served(tmp_path, http=configured(an_app(), protect_app=True), api_keys=True) as app,
        connected(app) as http,
    ):
        key = new_key()
        await app.state.server.db.write(key_queries.create, key, KeyOwner("acme", "alice"), now_us())
        assert (await http.get("/whoami")).status_code == 401
        assert (await http.get("/whoami", headers={"X-Api-Key": key.text})).json() == [True, "alice", []]


async def test_handlers_get_the_parameters_of_custom_routes(customized: Customized) -> None:
    auth, seen = Auth(), []

    @auth.authenticate
    async def authenticate(path_params: dict[str, str], body: Any) -> str:
        seen.append((path_params, body))
        return "alice"

    async def echo(request: Request) -> Response:
        return JSONResponse(await request.json())

    app = Starlette(routes=[Route("/echo/{name}", echo, methods=["POST"])])
    async with customized(app, auth=auth, protect_app=True) as http:
        assert (await http.post("/echo/you", json={"a": 1})).json() == {"a": 1}
        await http.post("/threads/x/runs", json={"b": 2})
    assert seen == [({"name": "you"}, {"a": 1}), ({"thread_id": "x"}, {"b": 2})]


# --- before or after the middleware


class Note:
    """Middleware that notes which requests it sees, and whether their user is known by then."""

    def __init__(self, app: ASGIApp, seen: list[Any], rewrite: dict[str, str] | None = None) -> None:
        self.app, self.seen, self.rewrite = app, seen, rewrite or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append((scope["path"], "user" in scope))
            scope["path"] = self.rewrite.get(scope["path"], scope["path"])
        await self.app(scope, receive, send)


PATHS = ("/hello", "/threads/x", "/ok", "/nothing")


@pytest.mark.parametrize("protected", [False, True])
async def test_middleware_first(customized: Customized, protected: bool) -> None:
    seen: list[Any] = []
    app = an_app(middleware=[Middleware(Note, seen=seen)])
    async with customized(app, auth=by_header(), protect_app=protected) as http:
        statuses = [(await http.get(path)).status_code for path in PATHS]
    assert statuses == [401 if protected else 200, 401, 200, 401]
    assert seen == [(path, False) for path in PATHS]


@pytest.mark.parametrize("protected", [False, True])
async def test_auth_first(customized: Customized, protected: bool) -> None:
    seen: list[Any] = []
    app = an_app(middleware=[Middleware(Note, seen=seen)])
    async with customized(app, auth=by_header(), protect_app=protected, auth_first=True) as http:
        statuses = [(await http.get(path)).status_code for path in PATHS]
        assert statuses == [401 if protected else 200, 401, 200, 401]
        assert ("/threads/x", False) not in seen  # it was refused before
        assert (("/hello", False) in seen) is not protected
        seen.clear()
        for path in PATHS:
            await http.get(path, headers=ALICE)
        assert dict(seen) == {"/hello": protected, "/threads/x": True, "/ok": False, "/nothing": protected}


@pytest.mark.parametrize("auth_first", [False, True])
async def test_middleware_that_changes_the_path_opens_nothing(customized: Customized, auth_first: bool) -> None:
    rewrite = {"/hello": "/assistants/search", "/ok": "/whoami"}
    app = an_app(middleware=[Middleware(Note, seen=[], rewrite=rewrite)])
    async with customized(app, auth=by_header(), protect_app=True, auth_first=auth_first) as http:
        assert (await http.post("/hello", json={})).status_code == 401
        assert (await http.get("/ok")).status_code == 401
        assert (await http.get("/ok", headers=ALICE)).json()[1] == "alice"
    async with customized(app, auth=by_header(), auth_first=auth_first) as http:
        assert (await http.post("/hello", json={})).status_code == 401
        assert (await http.post("/hello", json={}, headers=ALICE)).status_code == 200


@pytest.mark.parametrize("auth_first", [False, True])
async def test_handlers_of_the_app_word_refusals(customized: Customized, auth_first: bool) -> None:
    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return PlainTextResponse(f"go away: {error.detail}", error.status_code)

    app = FastAPI(exception_handlers={401: refused})
    async with customized(app, auth=by_header(), auth_first=auth_first) as http:
        response = await http.post("/threads", json={})
        assert (response.status_code, response.text) == (401, "go away: Who are you?")


async def test_refusals_can_be_read_by_pages(customized: Customized) -> None:
    """A preflight is answered before anybody is asked who it is, and refusals have the CORS headers (spec 1.5)."""
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    async with customized(an_app(), auth=by_header(), protect_app=True, auth_first=True) as http:
        for path in ("/threads", "/hello"):
            assert (await http.options(path, headers=asked)).status_code == 200
            refused = await http.get(path, headers={"Origin": "https://page.example"})
            assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")


async def test_no_path_leads_around_the_authentication(customized: Customized) -> None:
    """Calls from within are told apart by what no request over the network has."""
    async with customized(an_app(), auth=by_header(), mount_prefix="/api") as http:
        for path in (
            "/noauth/threads",
            "/noauth/api/threads",
            "/api/noauth/threads",
            "/api//threads",
            "/api/../api/threads",
        ):
            assert (await http.post(path, json={})).status_code in (401, 404), path
        headers = {"Host": "api", "X-Forwarded-Prefix": "/noauth", "Waystation.caller": "x"}
        assert (await http.post("/api/threads", json={}, headers=headers)).status_code == 401
