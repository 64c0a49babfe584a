"""The store over HTTP (spec 10)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import HttpClient, StoreClient

from waystation.store import Store

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


async def put(api: httpx.AsyncClient, namespace: list[str], key: str, value: dict[str, Any], **more: Any) -> None:
    response = await api.put("/store/items", json={"namespace": namespace, "key": key, "value": value, **more})
    assert response.status_code == 204, response.text
    assert response.content == b""


async def test_put_and_get(api: httpx.AsyncClient) -> None:
    await put(api, ["users", "u1"], "prefs", {"theme": "dark"}, index=["theme"], ttl=5)
    response = await api.get("/store/items", params={"namespace": "users.u1", "key": "prefs"})
    assert response.status_code == 200
    item = response.json()
    assert TIMESTAMP.fullmatch(item.pop("created_at"))
    assert TIMESTAMP.fullmatch(item.pop("updated_at"))
    assert item == {"namespace": ["users", "u1"], "key": "prefs", "value": {"theme": "dark"}}


async def test_a_namespace_may_come_as_repeated_parameters(api: httpx.AsyncClient) -> None:
    await put(api, ["a", "b", "c"], "k", {})
    response = await api.get("/store/items?namespace=a.b&namespace=c&key=k&refresh_ttl=false")
    assert response.json()["namespace"] == ["a", "b", "c"]


async def test_a_missing_item_is_null(api: httpx.AsyncClient) -> None:
    response = await api.get("/store/items", params={"namespace": "a", "key": "k"})
    assert (response.status_code, response.content) == (200, b"null")


async def test_an_empty_key_is_a_key(api: httpx.AsyncClient) -> None:
    await put(api, ["a"], "", {"v": 1})
    response = await api.get("/store/items", params={"namespace": "a", "key": ""})
    assert response.json()["value"] == {"v": 1}


async def test_delete_succeeds_whether_or_not_there_is_an_item(api: httpx.AsyncClient) -> None:
    await put(api, ["a"], "k", {})
    for _ in range(2):
        response = await api.request("DELETE", "/store/items", json={"namespace": ["a"], "key": "k"})
        assert (response.status_code, response.content) == (204, b"")
    assert (await api.get("/store/items?namespace=a&key=k")).json() is None
    assert (await api.request("DELETE", "/store/items", json={"key": "k"})).status_code == 204


async def test_search(api: httpx.AsyncClient) -> None:
    await put(api, ["a"], "k1", {"n": 1})
    await put(api, ["a", "b"], "k2", {"n": 2})
    await put(api, ["c"], "k3", {"n": 3})

    async def search(**body: Any) -> list[str]:
        response = await api.post("/store/items/search", json=body)
        assert response.status_code == 200, response.text
        assert all(item["score"] is None for item in response.json()["items"])
        return [item["key"] for item in response.json()["items"]]

    assert await search() == ["k3", "k2", "k1"]
    assert await search(namespace_prefix=None, filter=None, query=None, refresh_ttl=None) == ["k3", "k2", "k1"]
    assert await search(namespace_prefix=["a"], query="anything", refresh_ttl=True) == ["k2", "k1"]
    assert await search(limit=1, offset=1) == ["k2"]
    assert await search(limit=0) == []
    assert await search(filter={"n": {"$gte": 2}}) == ["k3", "k2"]


async def test_search_returns_ten_items_unless_told(api: httpx.AsyncClient) -> None:
    for number in range(12):
        await put(api, ["a"], str(number), {})
    assert len((await api.post("/store/items/search", json={})).json()["items"]) == 10


async def test_namespaces(api: httpx.AsyncClient) -> None:
    for namespace in (["b"], ["a", "x", "1"], ["a", "x", "2"], ["a", "y", "1"]):
        await put(api, namespace, "k", {})

    async def listed(**body: Any) -> Any:
        response = await api.post("/store/namespaces", json=body)
        assert response.status_code == 200, response.text
        return response.json()["namespaces"]

    assert await listed() == [["a", "x", "1"], ["a", "x", "2"], ["a", "y", "1"], ["b"]]
    assert await listed(max_depth=2) == [["a", "x"], ["a", "y"], ["b"]]
    assert await listed(prefix=["a", "*", "1"]) == [["a", "x", "1"], ["a", "y", "1"]]
    assert await listed(suffix=["x", "*"]) == [["a", "x", "1"], ["a", "x", "2"]]
    assert await listed(prefix=["a"], suffix=["1"], limit=1, offset=1) == [["a", "y", "1"]]


async def test_ttl_null_means_for_ever_and_no_ttl_the_default(api: httpx.AsyncClient, store: Store) -> None:
    assert store.ttl_config is not None
    store.ttl_config["default_ttl"] = 1e-9
    await put(api, ["a"], "default", {})
    await put(api, ["a"], "for ever", {}, ttl=None)
    await put(api, ["a"], "long", {}, ttl=60)
    items = (await api.post("/store/items/search", json={})).json()["items"]
    assert {item["key"] for item in items} == {"for ever", "long"}


@pytest.mark.parametrize(
    ("status", "named", "method", "path", "body"),
    [
        (400, "namespace", "PUT", "/store/items", {"namespace": [], "key": "k", "value": {}}),
        (400, "langgraph", "PUT", "/store/items", {"namespace": ["langgraph", "a"], "key": "k", "value": {}}),
        (422, "a.b", "PUT", "/store/items", {"namespace": ["a.b"], "key": "k", "value": {}}),
        (422, "empty", "PUT", "/store/items", {"namespace": [""], "key": "k", "value": {}}),
        (422, "namespace.0", "PUT", "/store/items", {"namespace": [1], "key": "k", "value": {}}),
        (422, "namespace", "PUT", "/store/items", {"key": "k", "value": {}}),
        (422, "key", "PUT", "/store/items", {"namespace": ["a"], "value": {}}),
        (422, "value", "PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": [1]}),
        (422, "value", "PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": None}),
        (422, "index", "PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "index": True}),
        (422, "index", "PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "index": [1]}),
        (422, "ttl", "PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "ttl": "5"}),
        (422, "ttl", "PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "ttl": 0}),
        (400, "NUL", "PUT", "/store/items", {"namespace": ["a"], "key": "k\0", "value": {}}),
        (400, "key", "GET", "/store/items?namespace=a", None),
        (422, "namespace", "GET", "/store/items?key=k", None),
        (422, "empty", "GET", "/store/items?key=k&namespace=a..b", None),
        (422, "refresh_ttl", "GET", "/store/items?key=k&namespace=a&refresh_ttl=perhaps", None),
        (422, "key", "DELETE", "/store/items", {"namespace": ["a"]}),
        (422, "a.b", "DELETE", "/store/items", {"namespace": ["a.b"], "key": "k"}),
        (400, "$in", "POST", "/store/items/search", {"filter": {"n": {"$in": [1]}}}),
        (400, "$gt", "POST", "/store/items/search", {"filter": {"n": {"$gt": "x"}}}),
        (422, "filter", "POST", "/store/items/search", {"filter": []}),
        (422, "limit", "POST", "/store/items/search", {"limit": -1}),
        (422, "limit", "POST", "/store/items/search", {"limit": "5"}),
        (422, "offset", "POST", "/store/items/search", {"offset": -1}),
        (422, "a.b", "POST", "/store/items/search", {"namespace_prefix": ["a.b"]}),
        (422, "prefix", "POST", "/store/namespaces", {"prefix": "a"}),
        (422, "max_depth", "POST", "/store/namespaces", {"max_depth": 0}),
        (422, "max_depth", "POST", "/store/namespaces", {"max_depth": None}),
        (422, "a.b", "POST", "/store/namespaces", {"suffix": ["a.b"]}),
    ],
)
async def test_what_is_wrong_is_named(
    api: httpx.AsyncClient, status: int, named: str, method: str, path: str, body: Any
) -> None:
    response = await api.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert list(response.json()) == ["detail"]
    assert named in response.json()["detail"]


async def test_the_official_client(api: httpx.AsyncClient) -> None:
    client = StoreClient(HttpClient(api))
    await client.put_item(["users", "u1"], "prefs", {"n": 1}, index=False, ttl=5)
    item = await client.get_item(["users", "u1"], "prefs", refresh_ttl=True)
    assert item["value"] == {"n": 1}
    found = await client.search_items(["users"], filter={"n": 1}, limit=5, offset=0, query="x", refresh_ttl=False)
    assert [one["key"] for one in found["items"]] == ["prefs"]
    assert await client.list_namespaces(prefix=["users"], suffix=["u1"], max_depth=2) == {
        "namespaces": [["users", "u1"]]
    }
    await client.delete_item(["users", "u1"], "prefs")
    assert await client.get_item(["users", "u1"], "prefs") is None
