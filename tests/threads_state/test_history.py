"""The history of a thread: `GET` and `POST /threads/{id}/history`."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest


async def listed(client: Any, thread_id: str, **params: Any) -> Any:
    answer = await client.get(f"/threads/{thread_id}/history", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def searched(client: Any, thread_id: str, **body: Any) -> Any:
    answer = await client.post(f"/threads/{thread_id}/history", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def talk(server: Any) -> str:
    """A chat of four turns: three checkpoints each."""
    thread_id: str = await server.thread("chat")
    for turn in range(4):
        await server.run("chat", thread_id, {"messages": [f"turn {turn}"]})
    return thread_id


async def test_newest_first_each_the_child_of_the_next(client: Any, talk: str) -> None:
    states = await listed(client, talk, limit=1000)
    assert [state["metadata"]["step"] for state in states] == list(range(10, -2, -1))
    assert [state["parent_checkpoint_id"] for state in states[:-1]] == [state["checkpoint_id"] for state in states[1:]]
    assert states[-1]["parent_checkpoint"] is None
    assert [len(state["values"].get("messages", [])) for state in states] == [8, 7, 6, 6, 5, 4, 4, 3, 2, 2, 1, 0]


async def test_ten_by_default_with_get_and_one_with_post(client: Any, talk: str) -> None:
    assert len(await listed(client, talk)) == 10
    [newest] = await searched(client, talk)
    assert newest["metadata"]["step"] == 10


async def test_a_limit(client: Any, talk: str) -> None:
    assert [state["metadata"]["step"] for state in await listed(client, talk, limit=2)] == [10, 9]
    assert [state["metadata"]["step"] for state in await searched(client, talk, limit=2)] == [10, 9]
    assert await listed(client, talk, limit=0) == []


@pytest.mark.parametrize("limit", ["many", "1.5", "-1", "1001", ""])
async def test_a_bad_limit_of_get(client: Any, talk: str, limit: str) -> None:
    answer = await client.get(f"/threads/{talk}/history", params={"limit": limit})
    assert answer.status_code == 422


@pytest.mark.parametrize("limit", ["10", 0, -1, 1001, 1.5, None, True])
async def test_a_bad_limit_of_post(client: Any, talk: str, limit: Any) -> None:
    answer = await client.post(f"/threads/{talk}/history", json={"limit": limit})
    assert answer.status_code == 422


async def test_every_form_of_before(client: Any, talk: str) -> None:
    states = await listed(client, talk, limit=1000)
    middle = states[5]["checkpoint"]
    bound = middle["checkpoint_id"]
    assert await listed(client, talk, before=bound, limit=3) == states[6:9]
    for before in (
        bound,
        middle,
        {"checkpoint_id": bound},
        {"configurable": middle},
        {"configurable": {"checkpoint_id": bound}},
    ):
        assert await searched(client, talk, before=before, limit=3) == states[6:9]


async def test_a_before_that_bounds_nothing(client: Any, talk: str) -> None:
    forms: list[Any] = [None, {}, {"configurable": {}}, {"thread_id": talk}]
    for before in forms:
        assert [state["metadata"]["step"] for state in await searched(client, talk, before=before)] == [10]


@pytest.mark.parametrize("before", ["nonsense", 5, {"checkpoint_id": 5}, {"checkpoint_id": "nonsense"}, ["x"]])
async def test_a_bad_before(client: Any, talk: str, before: Any) -> None:
    assert (await client.post(f"/threads/{talk}/history", json={"before": before})).status_code == 422
    assert (await client.get(f"/threads/{talk}/history", params={"before": "nonsense"})).status_code == 422


async def test_a_metadata_filter(client: Any, talk: str) -> None:
    inputs = await searched(client, talk, metadata={"source": "input"}, limit=10)
    assert [state["metadata"]["step"] for state in inputs] == [8, 5, 2, -1]
    assert [s["metadata"]["step"] for s in await searched(client, talk, metadata={"source": "input", "step": 5})] == [5]
    assert await searched(client, talk, metadata={"source": "update"}) == []
    assert len(await searched(client, talk, metadata={"thread_id": talk, "source": "loop"}, limit=3)) == 3
    assert await searched(client, talk, metadata={"thread_id": str(uuid4())}) == []


async def test_a_filter_applies_before_the_limit_and_with_before(client: Any, talk: str) -> None:
    states = await listed(client, talk, limit=1000)
    found = await searched(client, talk, metadata={"source": "input"}, before=states[3]["checkpoint_id"], limit=2)
    assert [state["metadata"]["step"] for state in found] == [5, 2]


async def test_a_namespace_has_a_history_of_its_own(server: Any, client: Any) -> None:
    thread_id = await server.thread("nested")
    await server.run("nested", thread_id, {"log": ["start"]})
    [task] = (await searched(client, thread_id))[0]["tasks"]
    middle = await searched(client, thread_id, checkpoint=task["checkpoint"], limit=10)
    assert [state["next"] for state in middle] == [["inner"], ["before"], ["__start__"]]
    assert {state["checkpoint"]["checkpoint_ns"] for state in middle} == {task["checkpoint"]["checkpoint_ns"]}
    earlier = await searched(client, thread_id, before=middle[0]["checkpoint"], limit=10)
    assert earlier == middle[1:]
    [inner] = middle[0]["tasks"]
    deeper = await searched(client, thread_id, checkpoint=inner["checkpoint"], limit=10)
    assert [state["next"] for state in deeper] == [["ask"], ["__start__"]]


async def test_namespaces_that_contradict_each_other(client: Any, talk: str) -> None:
    body = {"checkpoint": {"checkpoint_ns": "a"}, "before": {"checkpoint_ns": "b", "checkpoint_id": str(uuid4())}}
    assert (await client.post(f"/threads/{talk}/history", json=body)).status_code == 422


async def test_a_checkpoint_with_an_id_selects_that_one(client: Any, talk: str) -> None:
    states = await listed(client, talk)
    assert await searched(client, talk, checkpoint=states[4]["checkpoint"], limit=10) == [states[4]]


async def test_a_thread_without_a_graph_or_a_run_has_none(server: Any, client: Any) -> None:
    for graph_id in (None, "chat"):
        thread_id = await server.thread(graph_id)
        assert await listed(client, thread_id) == []
        assert await searched(client, thread_id) == []


async def test_an_unknown_thread(client: Any) -> None:
    assert (await client.get(f"/threads/{uuid4()}/history")).status_code == 404
    assert (await client.post(f"/threads/{uuid4()}/history", json={})).status_code == 404
    assert (await client.get("/threads/nonsense/history")).status_code == 422


async def test_select_is_never_refused(client: Any, talk: str) -> None:
    assert len(await listed(client, talk, select="nonsense")) == 10
    assert len(await searched(client, talk, select=["values.messages", "nonsense"])) == 1
