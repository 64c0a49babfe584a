"""Search by meaning through the API and in graphs, with the official client (spec 10)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.store_semantic.conftest import WithIndex


async def found(sdk: LangGraphClient, *prefix: str, **search: Any) -> list[tuple[str, Any]]:
    answer = await sdk.store.search_items(list(prefix), **search)
    return [(item["key"], item["score"]) for item in answer["items"]]


async def test_search_with_the_official_client(sdk: LangGraphClient) -> None:
    await sdk.store.put_item(["users", "ann"], "fruit", {"text": "an apple and a pear", "n": 1})
    await sdk.store.put_item(["users", "ann"], "cat", {"text": "my cat", "n": 2})
    await sdk.store.put_item(["users", "bob"], "both", {"text": "rain", "title": "banana"}, index=["title"])
    await sdk.store.put_item(["users", "bob"], "plain", {"text": "banana"}, index=False)
    assert await found(sdk, "users", query="fruit", limit=2) == [("fruit", 1.0), ("both", 1.0)]
    assert await found(sdk, "users", query="fruit", limit=2, offset=2) == [("cat", 0.0), ("plain", None)]
    assert await found(sdk, "users", "ann", query="dog", filter={"n": {"$lt": 9}}) == [("cat", 1.0), ("fruit", 0.0)]
    assert await found(sdk, "users", "ann", filter={"n": 1}) == [("fruit", None)]
    assert await found(sdk, "users", "bob", query="") == [("plain", None), ("both", None)]


@pytest.mark.parametrize("embed", ["embed", "embed_later"])
@pytest.mark.parametrize("graph", ["memory", "memory_async"])
async def test_graphs_remember_and_recall(with_index: WithIndex, graph: str, embed: str) -> None:
    async with with_index(embed) as sdk:
        given: Any = {"facts": ["the cat sleeps", "rain and snow", "a song"], "question": "how is the weather?"}
        state: Any = await sdk.runs.wait(None, graph, input=given)
        assert state["recalled"] == [["rain and snow", 1.0], ["the cat sleeps", 0.0]]
        assert await found(sdk, "memories", query="jazz", limit=1) == [("2", 1.0)]


async def test_a_failing_embedder_is_an_error_without_its_secrets(
    sdk: LangGraphClient, http: httpx.AsyncClient
) -> None:
    await sdk.store.put_item(["a"], "k", {"text": "apple"})
    for method, path, body in (
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {"text": "poison"}}),
        ("POST", "/store/items/search", {"query": "poison"}),
    ):
        answer = await http.request(method, path, json=body)
        assert answer.status_code == 500
        assert answer.json() == {
            "detail": "The text could not be embedded: the project's embedder failed (ConnectionError). "
            "The server's log has the details."
        }
    item = await sdk.store.get_item(["a"], "k")
    assert item["value"] == {"text": "apple"}
    assert await found(sdk, query="pear") == [("k", 1.0)]


async def test_what_is_not_embedded_needs_no_embedder(sdk: LangGraphClient) -> None:
    await sdk.store.put_item(["a"], "k", {"text": "poison"}, index=False)
    assert await found(sdk, "a") == [("k", None)]
