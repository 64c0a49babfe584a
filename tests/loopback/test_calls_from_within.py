"""``get_client()`` without a URL, in graphs and in custom routes, calls the server that runs them (spec 18.2, 20)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth, get_client
from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.auth.given import by_header
from tests.auth.given import configured as with_auth
from tests.auth.owners import owners
from tests.conftest import connected, project_config, served
from tests.custom_app.given import configured
from tests.driver import eventually
from tests.gate import Gate
from tests.live import listening
from tests.loopback.conftest import GRAPHS, calling_itself, client_of
from waystation.app import create_app
from waystation.auth import key_queries
from waystation.auth.keys import KeyOwner, new_key
from waystation.config import HttpConfig
from waystation.timestamps import now_us

ALICE = {"X-User": "alice"}


async def run(sdk: LangGraphClient, graph: str, x: Any = "a", headers: Any = None, inner: Any = None) -> Any:
    """What a graph answers; `headers` are those of the request, `inner` those that the graph is to send."""
    values: Any = await sdk.runs.wait(None, graph, input={"x": x, "headers": inner}, headers=headers)
    return values["x"]


# --- reaching it


@pytest.mark.parametrize("graph", ["caller", "blocking", "marked"])
@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_graph_runs_another(tmp_path: Path, graph: str, prefix: str) -> None:
    """The other one is no part of it: it has neither its context nor its place."""
    async with calling_itself(tmp_path, http=HttpConfig(mount_prefix=prefix)) as sdk:
        x, mark, user, place = (await run(sdk, graph))["x"]
    assert (x, mark, user) == ("a", None, None)
    assert place.startswith("node:")
    assert "|" not in place


async def test_two_servers_in_one_process(tmp_path: Path) -> None:
    async with calling_itself(tmp_path / "one") as one, calling_itself(tmp_path / "two") as two:
        thread, count = await run(one, "threads")
        assert count == 2  # with that of the run
        assert (await one.threads.get(thread))["status"] == "idle"
        assert await two.threads.count() == 0
        with pytest.raises(RuntimeError, match="Several servers"):
            await get_client().threads.count()


async def test_routes_of_two_servers_in_one_process(tmp_path: Path) -> None:
    async def count(_request: Request) -> Response:
        async with get_client() as client:
            return JSONResponse(await client.threads.count())

    http = configured(Starlette(routes=[Route("/count", count)]))
    async with calling_itself(tmp_path / "one", http=http) as one, calling_itself(tmp_path / "two", http=http) as two:
        await one.threads.create()
        assert [await sdk.http.get("/count") for sdk in (one, two)] == [1, 0]


NOBODY = """
import asyncio
from waystation.loopback import provide_transport
provide_transport()
from langgraph_sdk import get_client
asyncio.run(get_client().threads.count())
"""


def test_no_server() -> None:
    done = subprocess.run([sys.executable, "-c", NOBODY], capture_output=True, text=True)
    assert "RuntimeError: get_client() without a URL calls the server that runs this code" in done.stderr


async def test_a_custom_route_calls_the_api(tmp_path: Path) -> None:
    async def ask(_request: Request) -> Response:
        async with get_client() as client:
            values: Any = await client.runs.wait(None, "answerer", input={"x": "from a route"})
            return JSONResponse(values["x"][0])

    def ask_in_a_thread(request: Request) -> Response:
        return asyncio.run(ask(request))

    app = Starlette(routes=[Route("/ask", ask), Route("/thread", ask_in_a_thread)])
    async with calling_itself(tmp_path, http=configured(app)) as sdk:
        for path in ("/ask", "/thread"):
            assert await sdk.http.get(path) == "from a route", path


async def test_calls_go_through_the_middleware(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Note:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append((scope["type"], scope.get("path")))
            await self.app(scope, receive, send)

    async with calling_itself(tmp_path, http=configured(Starlette(middleware=[Middleware(Note)]))) as sdk:
        await run(sdk, "caller")
    assert [path for kind, path in seen if kind == "http"] == ["/runs/wait"] * 2


# --- streams


async def test_what_is_streamed_arrives_as_it_comes(tmp_path: Path, gate: Gate) -> None:
    async with calling_itself(tmp_path) as sdk:
        began = False
        async for part in sdk.runs.stream(
            None, "relay", input={"x": gate.state["gate"]}, stream_mode=["custom", "values"]
        ):
            if part.event == "custom":
                began = True
                gate.open()  # the other run does not end before
            last = part
        assert began
        assert last.data["x"] == "done"


async def test_leaving_a_stream_is_noticed(tmp_path: Path, gate: Gate) -> None:
    async with calling_itself(tmp_path) as sdk:
        thread_id = await run(sdk, "leaving", gate.state["gate"])

        async def stopped() -> bool:
            (found,) = await sdk.runs.list(thread_id)
            return found["status"] == "interrupted"

        await eventually(stopped, "the run that nobody follows any more ending")


async def test_runs_that_finish_during_a_shutdown_may_call(tmp_path: Path, gate: Gate) -> None:
    config = replace(project_config(tmp_path, graphs=GRAPHS), shutdown_grace_s=20)
    app = create_app(config)
    life = app.router.lifespan_context(app)
    await life.__aenter__()
    async with connected(app) as http:
        await http.post("/runs", json={"assistant_id": "late", "input": {"x": gate.state["gate"]}})
    await gate.reached()
    stopping = asyncio.ensure_future(life.__aexit__(None, None, None))

    async def draining() -> bool:
        return app.state.server._draining is not None

    await eventually(draining, "the shutdown beginning")
    gate.open()
    await stopping
    async with served(tmp_path) as app, connected(app) as http:
        assert len((await http.post("/threads/search", json={"metadata": {"late": True}})).json()) == 1


async def test_errors_are_those_of_the_api(tmp_path: Path) -> None:
    async def route(_request: Request) -> JSONResponse:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            async with get_client() as client:
                await client.threads.get("00000000-0000-4000-8000-000000000000")
        return JSONResponse(caught.value.response.status_code)

    own = configured(Starlette(routes=[Route("/call", route)]))
    async with served(tmp_path, http=own) as app, connected(app) as http:
        assert (await http.get("/call")).json() == 404


# --- whose calls they are


async def test_without_credentials_they_are_the_servers_own(tmp_path: Path) -> None:
    async with calling_itself(tmp_path, auth=with_auth(owners())) as sdk:
        thread, count = await run(sdk, "threads", headers=ALICE)
        assert count == 2
        with pytest.raises(httpx.HTTPStatusError):
            await sdk.threads.get(thread, headers=ALICE)  # nobody's


def by_token() -> Auth:
    auth = Auth()

    @auth.authenticate
    async def authenticate(authorization: str | None) -> str:
        if authorization is None:
            raise Auth.exceptions.HTTPException(status_code=401)
        return authorization

    @auth.on
    async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
        value.setdefault("metadata", {})["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    return auth


async def test_with_credentials_they_are_their_owners(tmp_path: Path) -> None:
    async with calling_itself(tmp_path, auth=with_auth(by_token())) as sdk:
        bob = {"Authorization": "bob"}
        thread, count = await run(sdk, "threads", headers={"Authorization": "alice"}, inner=bob)
        assert count == 1
        assert (await sdk.threads.get(thread, headers=bob))["metadata"] == {"owner": "bob"}


@pytest.mark.parametrize("name", ["LANGSMITH_API_KEY", "LANGGRAPH_API_KEY"])
async def test_a_key_for_something_else_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "lsv2_pt_something")
    async with calling_itself(tmp_path, auth=with_auth(by_header())) as sdk:
        assert (await run(sdk, "threads", headers=ALICE))[1] == 2


async def test_a_key_that_the_projects_handler_knows_is_its_owners(tmp_path: Path) -> None:
    auth = Auth()

    @auth.authenticate
    async def authenticate(headers: dict[bytes, bytes]) -> str:
        name = headers.get(b"x-api-key", b"").decode()
        if name not in ("alice", "bob"):
            raise Auth.exceptions.HTTPException(status_code=401, detail="unknown")
        return name

    @auth.on
    async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Auth.types.FilterType:
        value.setdefault("metadata", {})["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    async with calling_itself(tmp_path, auth=with_auth(auth)) as sdk:
        thread, count = await run(sdk, "threads", headers={"X-Api-Key": "alice"}, inner={"X-Api-Key": "bob"})
        assert count == 1
        assert (await sdk.threads.get(thread, headers={"X-Api-Key": "bob"}))["metadata"] == {"owner": "bob"}


async def test_a_key_of_this_server_leads_to_its_workspace(tmp_path: Path) -> None:
    config = project_config(tmp_path, graphs=GRAPHS, api_keys=True)
    with listening(create_app(config)) as server:
        keys = [new_key(), new_key()]
        db = server.app.state.server.db
        for key, workspace in zip(keys, ("one", "two"), strict=True):
            await db.write(key_queries.create, key, KeyOwner(workspace, "alice"), now_us())
        one, two = ({"X-Api-Key": key.text} for key in keys)
        async with client_of(server.url) as sdk:
            thread, count = await run(sdk, "threads", headers=one, inner=two)
            assert count == 1
            assert (await sdk.threads.get(thread, headers=two))["thread_id"] == thread
            with pytest.raises(httpx.HTTPStatusError):
                await sdk.threads.get(thread, headers=one)


async def test_the_handlers_of_the_project_may_call_too(tmp_path: Path) -> None:
    """While a request waits for its authentication."""
    auth = Auth()

    @auth.authenticate
    async def authenticate(headers: dict[bytes, bytes]) -> str:
        async with get_client() as client:
            items = await client.store.search_items(("users",))
        known = [item["key"] for item in items["items"]]
        name = headers.get(b"x-user", b"").decode()
        if name not in known:
            raise Auth.exceptions.HTTPException(status_code=401, detail="unknown")
        return name

    async with served(tmp_path, auth=with_auth(auth), http=configured(Starlette())) as app, connected(app) as http:
        assert (await http.post("/threads", json={}, headers=ALICE)).status_code == 401
        await app.state.server.store.aput(("users",), "alice", {})
        assert (await http.post("/threads", json={}, headers=ALICE)).status_code == 200
