"""Changes of threads, by both APIs (MDA 9.5)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import UnprocessableEntityError
from managed_deepagents import ManagedDeepAgentsAPIError

from tests.conftest import connected
from tests.deepagents.threads.conftest import BASE, Party


async def test_title(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    changed = await me.threads.update(thread["id"], title="  Plans  ")
    assert changed["title"] == "Plans"
    assert changed["metadata"] == thread["metadata"]
    await me.ran(thread, "Hello")
    assert (await me.threads.get(thread["id"]))["title"] == "Plans"
    for cleared in ({"title": None}, {"title": " "}):
        assert "title" not in (await me.http.patch(f"{BASE}/threads/{thread['id']}", json=cleared)).json()
    await me.ran(thread, "Once more")
    assert (await me.threads.get(thread["id"]))["title"] == "Once more"


async def test_metadata_is_merged(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent(), metadata={"a": 1, "b": 2})
    changed = await me.threads.update(
        thread["id"],
        metadata={"b": None, "c": {"d": None}, "is_pinned": True, "sandbox_recreated_at": "2026-01-01", "x": None},
    )
    metadata = changed["metadata"]
    assert (metadata["a"], metadata["c"], metadata["is_pinned"]) == (1, {"d": None}, True)
    assert metadata["sandbox_recreated_at"] == "2026-01-01"
    assert not {"b", "x"} & metadata.keys()
    cleared = await me.threads.update(thread["id"], metadata={"is_pinned": None, "sandbox_recreated_at": None})
    assert cleared["metadata"]["is_pinned"] is False
    assert "sandbox_recreated_at" not in cleared["metadata"]
    same = {name: cleared["metadata"][name] for name in ("ls_user_id", "tenant_id", "read_status")}
    assert (await me.threads.update(thread["id"], metadata=same))["metadata"] == cleared["metadata"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"title": 1}, 400),
        ({"metadata": []}, 400),
        ({"title": "x" * 1001}, 422),
        ({"metadata": {"is_pinned": "yes"}}, 422),
        ({"metadata": {"read_status": 1}}, 422),
        ({"metadata": {"sandbox_recreated_at": 1}}, 422),
        ({"metadata": {"ls_user_id": "me"}}, 422),
        ({"metadata": {"tenant_id": None}}, 422),
    ],
)
async def test_bad_changes(me: Party, body: dict[str, Any], status: int) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    with pytest.raises(ManagedDeepAgentsAPIError) as error:
        await me.threads.update(thread["id"], {"metadata": {"a": 1}, **body})
    assert error.value.status_code == status
    assert (await me.threads.get(thread["id"]))["metadata"] == thread["metadata"]


async def test_many_at_once(me: Party) -> None:
    agent_id = await me.agent()
    one, two = [await me.threads.create(agent_id=agent_id) for _ in range(2)]
    unknown = str(uuid4())
    data = {"metadata": {"is_pinned": True}}
    answer = await me.threads.bulk_update(thread_ids=[two["id"], unknown, one["id"], two["id"]], data=data)
    assert [(result["id"], result["status"]) for result in answer["results"]] == [
        (two["id"], "success"),
        (unknown, "failure"),
        (one["id"], "success"),
        (two["id"], "success"),
    ]
    assert answer["results"][1]["error_code"] == "thread_not_found"
    assert len((await me.threads.list(agent_id=agent_id, is_pinned=True))["threads"]) == 2
    refused = await me.threads.bulk_update(thread_ids=[one["id"]], data={"metadata": {"is_pinned": 1}})
    assert refused["results"][0]["error_code"] == "validation_error"
    assert await me.threads.bulk_update(thread_ids=[], data={}) == {"results": []}
    bodies: list[dict[str, Any]] = [
        {"thread_ids": [unknown] * 51, "data": {}},
        {"data": {}},
        {"thread_ids": [], "data": {"title": 1}},
    ]
    for body in bodies:
        with pytest.raises(ManagedDeepAgentsAPIError) as error:
            await me.threads.bulk_update(body)
        assert error.value.status_code == 400


async def test_an_id_that_is_none_fails_alone(app: Any, me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    async with connected(app) as http:  # the contract has UUIDs only in the answer
        body = {"thread_ids": ["x", thread["id"]], "data": {"title": "y"}}
        results = (await http.post(f"{BASE}/threads/bulk-modify", json=body)).json()["results"]
    assert [(result["id"], result["status"]) for result in results] == [("x", "failure"), (thread["id"], "success")]


async def test_by_the_agent_server(me: Party) -> None:
    """Its PATCH means the same, and leaves what is the server's alone."""
    agent_id = await me.agent()
    thread = await me.threads.create(agent_id=agent_id, metadata={"a": 1})
    await me.ran(thread, "Hello")
    await me.sdk.threads.update(thread["id"], metadata={"is_pinned": True, "read_status": True, "b": 2})
    [found] = (await me.threads.list(agent_id=agent_id, is_pinned=True))["threads"]
    assert (found["metadata"]["read_status"], found["metadata"]["b"], found["metadata"]["a"]) == (True, 2, 1)
    assert await me.threads.count() == {"attention_count": 0}
    await me.sdk.threads.update(thread["id"], metadata={"is_test_run": True, "read_status": False})
    assert await me.threads.count() == {"attention_count": 0}
    assert len((await me.threads.list(agent_id=agent_id, test_run=True))["threads"]) == 1
    for wrong in ({"ls_user_id": "x"}, {"tenant_id": "x"}, {"graph_id": "x"}, {"is_pinned": 1}):
        with pytest.raises(UnprocessableEntityError):
            await me.sdk.threads.update(thread["id"], metadata=wrong)
    copy = (await me.http.post(f"/threads/{thread['id']}/copy")).json()
    copied = await me.threads.get(copy["thread_id"])
    assert (copied["agent_id"], copied["title"]) == (agent_id, "Hello")
    ordinary = await me.sdk.threads.create()
    patched: Any = await me.sdk.threads.update(ordinary["thread_id"], metadata={"is_pinned": "anything"})
    assert patched["metadata"] == {"is_pinned": "anything"}


async def test_a_thread_that_a_run_makes_an_agents(me: Party) -> None:
    agent_id = await me.agent()
    thread_id = (await me.sdk.threads.create(metadata={"is_pinned": "x", "a": 1}))["thread_id"]
    await me.ran({"id": thread_id, "agent_id": agent_id}, "Hello")
    for found in (await me.threads.list(agent_id=agent_id))["threads"], await me.threads.search(metadata={"a": 1}):
        assert [(each["title"], each["metadata"]["is_pinned"]) for each in found] == [("Hello", False)]
