"""``store.path``: a store of the project's own in place of the built-in one (spec 19)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth
from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette

from tests.auth.given import by_header, configured
from tests.auth.test_api_keys import make_key
from tests.conftest import connected, served
from waystation.config import GraphSpec, StoreConfig
from waystation.errors import ConfigError

STORES = Path(__file__).parent / "project" / "stores.py"
GRAPHS = Path(__file__).parent.parent / "store_semantic" / "project" / "graphs.py"

Served = Callable[..., AbstractAsyncContextManager[tuple[Starlette, httpx.AsyncClient]]]


@pytest.fixture
def with_store(tmp_path: Path) -> Served:
    @asynccontextmanager
    async def open_(variable: str, **changes: Any) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
        graphs = {name: GraphSpec(name, f"{GRAPHS}:{name}") for name in ("memory", "memory_async")}
        changes = {"store": StoreConfig(path=f"{STORES}:{variable}"), "graphs": graphs, **changes}
        async with served(tmp_path, **changes) as app, connected(app) as http:
            yield app, http

    return open_


async def searched(http: httpx.AsyncClient, headers: dict[str, str] | None = None, **body: Any) -> list[str]:
    answer = await http.post("/store/items/search", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["key"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    "variable", ["instance", "synchronous", "factory", "async_factory", "context", "async_context"]
)
async def test_every_way_to_give_a_store(with_store: Served, variable: str) -> None:
    async with with_store(variable) as (_, http):
        sdk = LangGraphClient(http)
        for graph in ("memory", "memory_async"):
            given: Any = {"facts": ["one", "two"], "question": "?"}
            state: Any = await sdk.runs.wait(None, graph, input=given)
            assert sorted(text for text, _ in state["recalled"]) == ["one", "two"]
        await sdk.store.put_item(["a", "b"], "k", {"n": 1})
        item = await sdk.store.get_item(["a", "b"], "k")
        assert (item["namespace"], item["value"]) == (["a", "b"], {"n": 1})
        assert sorted(await searched(http)) == ["0", "1", "k"]
        assert (await sdk.store.list_namespaces(max_depth=1))["namespaces"] == [["a"], ["memories"]]
        await sdk.store.delete_item(["a", "b"], "k")
        assert await searched(http, filter={"n": 1}) == []


@pytest.mark.parametrize("variable", ["context", "async_context"])
async def test_a_context_manager_is_left_when_the_server_stops(with_store: Served, variable: str) -> None:
    async with with_store(variable):
        [events] = {id(each.events): each.events for each in _loaded() if each.events}.values()
        assert events == ["opened"]
    assert events == ["opened", "closed"]
    events.clear()


def _loaded() -> list[Any]:
    return [each for each in list(sys.modules.values()) if getattr(each, "__file__", None) == str(STORES)]


async def test_what_fails_in_it_is_not_told_to_clients(with_store: Served) -> None:
    async with with_store("instance") as (_, http):
        for method, path, body in (
            ("PUT", "/store/items", {"namespace": ["a"], "key": "fail", "value": {}}),
            ("GET", "/store/items?namespace=a&key=fail", None),
            ("POST", "/store/items/search", {"query": "fail"}),
        ):
            answer = await http.request(method, path, json=body)
            assert answer.status_code == 500
            assert answer.json()["detail"].startswith("The project's store failed (ConnectionError).")
        answer = await http.put("/store/items", json={"namespace": ["a"], "key": "k", "value": {}, "ttl": 5})
        assert answer.status_code == 400
        assert "time to live" in answer.json()["detail"]


async def test_a_handlers_filter_limits_a_search(with_store: Served) -> None:
    auth = by_header()

    @auth.on.store.search
    async def own_only(ctx: Auth.types.AuthContext, value: Any) -> Any:
        return {"$or": [{"owner": ctx.user.identity}, {"shared": {"$eq": [1]}}]}

    ann = {"X-User": "ann"}
    async with with_store("factory", auth=configured(auth)) as (_, http):
        for number in range(250):
            value = {"owner": "ann" if number % 5 == 0 else "bob", **({"shared": [1]} if number == 1 else {})}
            body = {"namespace": ["a"], "key": f"{number:03}", "value": value}
            assert (await http.put("/store/items", json=body, headers=ann)).status_code == 204
        expected = sorted(["001", *(f"{number:03}" for number in range(0, 250, 5))])
        assert await searched(http, ann, limit=100) == expected
        assert await searched(http, ann, limit=10, offset=45) == expected[45:]
        assert await searched(http, ann, limit=3) == expected[:3]


async def test_workspaces_do_not_see_each_other(with_store: Served) -> None:
    async with with_store("factory", api_keys=True) as (app, http):
        headers = {}
        for workspace in ("one", "two"):
            headers[workspace] = {"X-Api-Key": await make_key(app, workspace)}
            body: Any = {"namespace": ["a", "b"], "key": workspace, "value": {}}
            assert (await http.put("/store/items", json=body, headers=headers[workspace])).status_code == 204
        assert await searched(http, headers["one"]) == ["one"]
        assert await searched(http, headers["two"], namespace_prefix=["a"]) == ["two"]
        answer = await http.post("/store/namespaces", json={"max_depth": 1}, headers=headers["one"])
        assert answer.json() == {"namespaces": [["a"]]}
        answer = await http.get("/store/items?namespace=two.a.b&key=two", headers=headers["one"])
        assert answer.json() is None
        given = {"assistant_id": "memory", "input": {"facts": ["x"], "question": "?"}}
        await http.post("/runs/wait", json=given, headers=headers["two"])
        assert await searched(http, headers["two"], namespace_prefix=["memories"]) == ["0"]
        assert await searched(http, headers["one"], namespace_prefix=["memories"]) == []


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("missing", "there is no such variable"),
        ("number", "gives a int"),
        ("nothing", "gives a NoneType"),
        ("failing", "failed: ConnectionError: nobody there"),
    ],
)
async def test_what_is_no_store_is_said_at_the_start(with_store: Served, variable: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"store.path: .*{said}"):
        async with with_store(variable):
            pass
