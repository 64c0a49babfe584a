"""The store part of the Python SDK."""

from __future__ import annotations

from typing import Any
from uuid import uuid4


async def test_items(client: Any) -> None:
    space = [str(uuid4()), "memories"]
    await client.store.put_item(space, "a", {"n": 1})
    item = await client.store.get_item(space, "a")
    assert (item["namespace"], item["key"], item["value"]) == (space, "a", {"n": 1})
    await client.store.put_item(space, "a", {"n": 2}, index=False, ttl=60)
    changed = await client.store.get_item(space, "a", refresh_ttl=False)
    assert (changed["value"], changed["created_at"]) == ({"n": 2}, item["created_at"])
    await client.store.delete_item(space, "a")
    assert await client.store.get_item(space, "a") is None


async def test_search(client: Any) -> None:
    root = str(uuid4())
    for number in range(4):
        await client.store.put_item([root, "even" if number % 2 == 0 else "odd"], f"k{number}", {"n": number})
    everything = await client.store.search_items([root])
    assert sorted(item["key"] for item in everything["items"]) == ["k0", "k1", "k2", "k3"]
    assert {item["score"] for item in everything["items"]} == {None}
    assert [item["key"] for item in (await client.store.search_items([root], filter={"n": 3}))["items"]] == ["k3"]
    larger = await client.store.search_items([root, "odd"], filter={"n": {"$gt": 1}}, query="text", refresh_ttl=True)
    assert [item["key"] for item in larger["items"]] == ["k3"]
    page = await client.store.search_items([root], limit=1, offset=3)
    assert len(page["items"]) == 1


async def test_namespaces(client: Any) -> None:
    root = str(uuid4())
    for path in (["a", "x"], ["a", "y"], ["b", "x"]):
        await client.store.put_item([root, *path], "k", {})

    async def listed(**options: Any) -> Any:
        return (await client.store.list_namespaces(**options))["namespaces"]

    assert await listed(prefix=[root]) == [[root, "a", "x"], [root, "a", "y"], [root, "b", "x"]]
    assert await listed(prefix=[root], suffix=["x"]) == [[root, "a", "x"], [root, "b", "x"]]
    assert await listed(prefix=[root, "*", "x"]) == [[root, "a", "x"], [root, "b", "x"]]
    assert await listed(prefix=[root], max_depth=2, limit=1, offset=1) == [[root, "b"]]
