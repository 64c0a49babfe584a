"""Finding, counting and pruning threads over HTTP (spec 1.4, 3.2, 3.4)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
from langgraph_sdk.client import LangGraphClient


async def add(http: httpx.AsyncClient, *metadata: dict[str, Any]) -> list[str]:
    return [(await http.post("/threads", json={"metadata": entry})).json()["thread_id"] for entry in metadata]


async def ids(http: httpx.AsyncClient, **body: Any) -> list[str]:
    answer = await http.post("/threads/search", json=body)
    assert answer.status_code == 200, answer.text
    return [thread["thread_id"] for thread in answer.json()]


async def test_metadata_is_matched_by_containment(http: httpx.AsyncClient) -> None:
    first, second = await add(http, {"tag": "a", "n": 1, "deep": {"x": [1, {"y": 2}]}}, {"tag": "a", "n": 2})
    assert await ids(http, metadata={"tag": "a"}) == [second, first]
    assert await ids(http, metadata={"tag": "a", "n": 1}) == [first]
    assert await ids(http, metadata={"deep": {"x": [{"y": 2}]}}) == [first]
    assert await ids(http, metadata={"n": "1"}) == []
    assert (await http.post("/threads/count", json={"metadata": {"tag": "a"}})).json() == 2
    assert (await http.post("/threads/count", json={"metadata": {"tag": "b"}})).json() == 0


async def test_values_and_status(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    (never_ran,) = await add(http, {})
    (done,) = await add(http, {})
    await sdk.runs.wait(done, "echo", input={"x": "a"})
    (asking,) = await add(http, {})
    await sdk.runs.wait(asking, "hitl", input={})
    assert await ids(http, values={"x": "a!"}) == [done]
    assert await ids(http, values={"y": 1}) == []
    assert await ids(http, status="interrupted") == [asking]
    assert await ids(http, status="idle") == [done, never_ran]
    assert (await http.post("/threads/count", json={"status": "idle", "values": {"n": 1}})).json() == 1
    # A run leaves its graph in the metadata, which can be searched for.
    assert await ids(http, metadata={"graph_id": "echo"}) == [done]


async def test_ids(http: httpx.AsyncClient) -> None:
    first, second, third = await add(http, {"n": 1}, {"n": 2}, {"n": 1})
    assert await ids(http, ids=[first, third.upper(), str(uuid4())]) == [third, first]
    assert await ids(http, ids=[first, second], metadata={"n": 2}) == [second]
    assert await ids(http, ids=[]) == []
    answer = await http.post("/threads/search", json={"ids": ["nonsense"]})
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


async def test_sorting(http: httpx.AsyncClient) -> None:
    first, second, third = await add(http, {}, {}, {})
    await http.patch(f"/threads/{first}", json={"metadata": {"a": 1}})
    assert await ids(http) == [third, second, first]
    assert await ids(http, sort_order="asc") == [first, second, third]
    assert await ids(http, sort_by="updated_at") == [first, third, second]
    assert await ids(http, sort_by="thread_id", sort_order="asc") == sorted([first, second, third])


async def test_pages_tell_whether_there_is_more(http: httpx.AsyncClient) -> None:
    await add(http, *({"n": n} for n in range(12)))
    page = await http.post("/threads/search", json={})
    assert len(page.json()) == 10
    assert (page.headers["x-pagination-next"], page.headers["x-pagination-total"]) == ("10", "11")
    last = await http.post("/threads/search", json={"offset": 10})
    assert [thread["metadata"]["n"] for thread in last.json()] == [1, 0]
    assert "x-pagination-next" not in last.headers
    assert last.headers["x-pagination-total"] == "12"
    exact = await http.post("/threads/search", json={"limit": 12})
    assert "x-pagination-next" not in exact.headers
    assert (await http.post("/threads/count", json={})).json() == 12


async def test_select_and_extract(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    (thread_id,) = await add(http, {"owner": {"name": "Ada"}, "_hidden": 1})
    question: Any = {"messages": [{"role": "user", "content": "2"}]}
    await sdk.runs.wait(thread_id, "chat", input=question)
    paths = {
        "last": "values.messages[-1].content",
        "first": "values.messages[0].content",
        "beyond": "values.messages[2]",
        "before": "values.messages[-3]",
        "owner": "metadata.owner.name",
        "hidden": "metadata._hidden",
        "odd": "metadata.owner[0]",
        "none": "interrupts.nobody[0].value",
        "all": "metadata.owner",
    }
    answer = await http.post("/threads/search", json={"select": ["status", "thread_id"], "extract": paths})
    assert answer.json() == [
        {
            "status": "idle",
            "thread_id": thread_id,
            "extracted": {
                "last": "w0 w1",
                "first": "2",
                "beyond": None,
                "before": None,
                "owner": "Ada",
                "hidden": None,
                "odd": None,
                "none": None,
                "all": {"name": "Ada"},
            },
        }
    ]


async def test_extract_from_a_thread_that_never_ran(http: httpx.AsyncClient) -> None:
    await add(http, {})
    (thread,) = (await http.post("/threads/search", json={"extract": {"last": "values.messages[-1]"}})).json()
    assert thread["extracted"] == {"last": None}
    assert thread["values"] is None


MALFORMED: list[Any] = [
    {"limit": 0},
    {"limit": 1001},
    {"limit": "5"},
    {"offset": -1},
    {"status": "done"},
    {"sort_by": "metadata"},
    {"sort_order": "up"},
    {"select": ["thread_id", "kwargs"]},
    {"metadata": "x"},
    {"extract": {"1st": "values.a"}},
    {"extract": {"status": "values.a"}},
    {"extract": {"a": "runs.a"}},
    {"extract": {"a": "values..b"}},
    {"extract": {"a": "values[x]"}},
    {"extract": {"a": ""}},
    {"extract": {f"a{n}": "values.a" for n in range(11)}},
]


async def test_searches_are_checked(http: httpx.AsyncClient) -> None:
    for body in MALFORMED:
        answer = await http.post("/threads/search", json=body)
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], str)


async def test_prune_deletes(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    first, second, third = await add(http, {}, {}, {})
    await sdk.runs.create(second, "sleeper", input={"n": 60})
    body = {"thread_ids": [first, second, str(uuid4()), first]}
    assert (await http.post("/threads/prune", json=body)).json() == {"pruned_count": 2}
    assert await ids(http) == [third]
    assert (await http.post("/threads/prune", json={"thread_ids": []})).json() == {"pruned_count": 0}


async def test_prune_can_keep_the_newest_state(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    (thread_id,) = await add(http, {})
    for text in ("a", "b"):
        await sdk.runs.wait(thread_id, "echo", input={"x": text})
    body = {"thread_ids": [thread_id], "strategy": "keep_latest"}
    assert len(await sdk.threads.get_history(thread_id)) > 1
    assert (await http.post("/threads/prune", json=body)).json() == {"pruned_count": 1}
    assert [state["values"] for state in await sdk.threads.get_history(thread_id)] == [{"x": "b!", "n": 2, "log": []}]
    assert (await sdk.threads.get_state(thread_id))["values"] == {"x": "b!", "n": 2, "log": []}
    assert (await sdk.runs.wait(thread_id, "echo", input={"x": "c"})) == {"x": "c!", "n": 3, "log": []}


MALFORMED_PRUNES: list[Any] = [{}, {"thread_ids": ["x"]}, {"thread_ids": [], "strategy": "some"}]


async def test_prune_is_checked(http: httpx.AsyncClient) -> None:
    for body in MALFORMED_PRUNES:
        assert (await http.post("/threads/prune", json=body)).status_code == 422
