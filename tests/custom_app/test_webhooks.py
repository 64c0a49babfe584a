"""Webhooks that are paths of this server: they lead to the custom app, and nowhere else (spec 11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.auth.given import by_header
from tests.auth.given import configured as with_auth
from tests.custom_app.given import configured
from tests.driver import eventually
from tests.webhooks.conftest import QUICK, calling

LOCAL = replace(QUICK, disable_loopback=False, secrets=("key",))


class Hooks:
    """A custom app that takes webhooks at ``/hook``."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[Any] = []
        self.app = Starlette(routes=[Route("/hook", self._hook, methods=["POST"])], **options)

    async def _hook(self, request: Request) -> Response:
        body = await request.json()
        authenticated = request.scope["user"].is_authenticated
        self.calls.append((body["status"], request.query_params.get("a"), authenticated, dict(request.headers)))
        return JSONResponse({})


@asynccontextmanager
async def with_hooks(tmp_path: Path, app: Starlette, **settings: Any) -> AsyncIterator[LangGraphClient]:
    auth = settings.pop("auth", None)
    async with calling(tmp_path, webhooks=LOCAL, auth=auth, http=configured(app, **settings)) as sdk:
        yield sdk


async def told(sdk: LangGraphClient, webhook: str, headers: dict[str, str] | None = None) -> Any:
    thread = await sdk.threads.create(headers=headers)
    run = await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"}, webhook=webhook, headers=headers)

    async def finished() -> Any:
        path = f"/threads/{thread['thread_id']}/runs/{run['run_id']}/webhooks"
        found: Any = await sdk.http.get(path, headers=headers)
        return found[0] if found and found[0]["status"] != "pending" else None

    return await eventually(finished, "the webhook")


@pytest.mark.parametrize(("prefix", "webhook"), [("", "/hook?a=b"), ("/api", "/hook?a=b"), ("/api", "/api/hook?a=b")])
async def test_it_reaches_a_custom_route(tmp_path: Path, prefix: str, webhook: str) -> None:
    hooks = Hooks()
    async with with_hooks(tmp_path, hooks.app, mount_prefix=prefix) as sdk:
        sdk.http.client.base_url = f"http://waystation{prefix}"
        assert (await told(sdk, webhook))["status"] == "delivered"
    ((status, query, authenticated, headers),) = hooks.calls
    assert (status, query, authenticated) == ("success", "b", False)
    assert headers["waystation-signature"].startswith("t=")


@pytest.mark.parametrize("path", ["/threads", "/runs", "/threads/search", "/ok", "/nothing", "/store/items/search"])
async def test_it_does_not_reach_the_api(tmp_path: Path, path: str) -> None:
    """Otherwise everybody could have the server do what only it may."""
    async with with_hooks(tmp_path, Hooks().app) as sdk:
        delivery = await told(sdk, path)
        assert (delivery["status"], delivery["log"][0]["status"]) == ("failed", 404)
        assert len(await sdk.threads.search()) == 1


async def test_middleware_that_changes_the_path_does_not_help(tmp_path: Path) -> None:
    class ToTheApi:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/hook":
                scope["path"] = "/threads"
            await self.app(scope, receive, send)

    async with with_hooks(tmp_path, Hooks(middleware=[Middleware(ToTheApi)]).app) as sdk:
        assert (await told(sdk, "/hook"))["log"][0]["status"] == 404


@pytest.mark.parametrize("auth_first", [False, True])
async def test_it_needs_no_credentials(tmp_path: Path, auth_first: bool) -> None:
    hooks = Hooks()
    settings = {"protect_app": True, "auth_first": auth_first, "auth": with_auth(by_header())}
    async with with_hooks(tmp_path, hooks.app, **settings) as sdk:
        assert (await sdk.http.client.post("/hook", json={})).status_code == 401
        assert (await told(sdk, "/hook", {"X-User": "alice"}))["status"] == "delivered"
    assert [authenticated for _, _, authenticated, _ in hooks.calls] == [False]


async def test_it_needs_a_custom_app(tmp_path: Path) -> None:
    async with calling(tmp_path, webhooks=LOCAL) as sdk:
        body = {"assistant_id": "echo", "input": {}, "webhook": "/hook"}
        response = await sdk.http.client.post("/runs", json=body)
        assert (response.status_code, "http.app" in response.json()["detail"]) == (422, True)
