"""The threads part of the Python SDK: rows, state and history."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError


async def ran(client: Any, graph: str = "echo", **given: Any) -> str:
    """A thread with a finished run of `graph`."""
    thread_id: str = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, graph, input={"x": "hi"}, **given)
    return thread_id


async def test_create_get_update_and_delete(client: Any) -> None:
    thread = await client.threads.create(metadata={"user": "u"}, graph_id="echo")
    assert (thread["status"], thread["metadata"]) == ("idle", {"user": "u", "graph_id": "echo"})
    assert (thread["values"], thread["interrupts"]) == (None, {})
    changed = await client.threads.update(thread["thread_id"], metadata={"user": "v"})
    assert changed["metadata"] == {"user": "v", "graph_id": "echo"}
    assert await client.threads.update(thread["thread_id"], metadata={"more": 1}, return_minimal=True) is None
    assert (await client.threads.get(thread["thread_id"]))["metadata"]["more"] == 1
    await client.threads.delete(thread["thread_id"])
    with pytest.raises(NotFoundError):
        await client.threads.get(thread["thread_id"])


async def test_same_id_twice(client: Any) -> None:
    thread_id = str(uuid4())
    await client.threads.create(thread_id=thread_id, metadata={"n": 1})
    with pytest.raises(ConflictError):
        await client.threads.create(thread_id=thread_id)
    again = await client.threads.create(thread_id=thread_id, metadata={"n": 2}, if_exists="do_nothing")
    assert again["metadata"] == {"n": 1}


async def test_time_to_live(client: Any) -> None:
    thread_id = (await client.threads.create(ttl=60))["thread_id"]
    assert "ttl" not in await client.threads.get(thread_id)
    told = (await client.threads.get(thread_id, include=["ttl"]))["ttl"]
    assert (told["strategy"], told["ttl_minutes"]) == ("delete", 60)
    await client.threads.update(thread_id, metadata={}, ttl={"ttl": 30, "strategy": "keep_latest"})
    told = (await client.threads.get(thread_id, include=["ttl"]))["ttl"]
    assert (told["strategy"], told["ttl_minutes"]) == ("keep_latest", 30)


async def test_search_and_count(client: Any) -> None:
    mark = {"mark": str(uuid4())}
    idle = (await client.threads.create(metadata={**mark, "n": 1}))["thread_id"]
    done = (await client.threads.create(metadata={**mark, "n": 2}))["thread_id"]
    await client.runs.wait(done, "echo", input={"x": "found"})
    found = await client.threads.search(metadata=mark, sort_by="created_at", sort_order="asc")
    assert [thread["thread_id"] for thread in found] == [idle, done]
    assert [t["thread_id"] for t in await client.threads.search(metadata=mark, values={"x": "found!"})] == [done]
    assert [t["thread_id"] for t in await client.threads.search(ids=[idle])] == [idle]
    assert await client.threads.search(metadata=mark, status="busy") == []
    assert await client.threads.search(metadata=mark, limit=1, offset=1, select=["thread_id"]) == [{"thread_id": idle}]
    extracted = await client.threads.search(ids=[done], extract={"said": "values.x"}, select=["status"])
    assert extracted == [{"status": "idle", "extracted": {"said": "found!"}}]
    assert await client.threads.count(metadata=mark) == 2
    assert await client.threads.count(metadata=mark, values={"n": 1}, status="idle") == 1


async def test_copy(client: Any) -> None:
    thread_id = await ran(client)
    mark = {"mark": str(uuid4())}
    await client.threads.update(thread_id, metadata=mark)
    await client.threads.copy(thread_id)
    copy, original = await client.threads.search(metadata=mark, select=["thread_id"])
    assert original["thread_id"] == thread_id
    histories = [await client.threads.get_history(each["thread_id"]) for each in (original, copy)]
    ids = [[state["checkpoint"]["checkpoint_id"] for state in history] for history in histories]
    assert ids[0] == ids[1] != []
    again = await client.runs.wait(copy["thread_id"], "echo", input={"x": "again"})
    assert (again["x"], again["n"]) == ("again!", 2)


async def test_prune(client: Any) -> None:
    first, second = await ran(client), await ran(client)
    assert await client.threads.prune([first], strategy="keep_latest") == {"pruned_count": 1}
    assert len(await client.threads.get_history(first)) == 1
    assert (await client.threads.get_state(first))["values"] == {"x": "hi!", "n": 1, "log": []}
    assert await client.threads.prune([first, second, str(uuid4())]) == {"pruned_count": 2}
    with pytest.raises(NotFoundError):
        await client.threads.get(second)


async def test_supersteps_seed_a_state(client: Any) -> None:
    thread = await client.threads.create(
        graph_id="echo",
        supersteps=[
            {"updates": [{"values": {"x": "a"}, "as_node": "__input__"}]},
            {"updates": [{"values": {"x": "b", "log": ["seeded"]}, "as_node": "echo"}]},
        ],
    )
    state = await client.threads.get_state(thread["thread_id"])
    assert (state["values"]["x"], state["values"]["log"], state["next"]) == ("b", ["seeded"], [])


async def test_state_at_a_checkpoint(client: Any) -> None:
    thread_id = await ran(client)
    history = await client.threads.get_history(thread_id)
    assert [state["metadata"]["source"] for state in history] == ["loop", "loop", "input"]
    before = history[1]
    by_id = await client.threads.get_state(thread_id, checkpoint_id=before["checkpoint"]["checkpoint_id"])
    by_checkpoint = await client.threads.get_state(thread_id, checkpoint=before["checkpoint"])
    assert by_id["values"] == by_checkpoint["values"] == before["values"]
    assert by_id["next"] == ["echo"]
    assert (await client.threads.get_state(thread_id, select=["values"]))["values"]["x"] == "hi!"


async def test_history_filters(client: Any) -> None:
    thread_id = await ran(client)
    history = await client.threads.get_history(thread_id)
    assert await client.threads.get_history(thread_id, limit=1) == history[:1]
    assert await client.threads.get_history(thread_id, before=history[0]["checkpoint"]) == history[1:]
    assert await client.threads.get_history(thread_id, before=history[0]["checkpoint"]["checkpoint_id"]) == history[1:]
    assert await client.threads.get_history(thread_id, metadata={"source": "input"}) == history[2:]
    assert await client.threads.get_history(thread_id, checkpoint={"checkpoint_ns": ""}, select=["values"])


async def test_update_state_and_go_on(client: Any) -> None:
    thread_id = await ran(client, interrupt_before=["echo"])
    assert (await client.threads.get(thread_id))["status"] == "interrupted"
    answer = await client.threads.update_state(thread_id, {"x": "edited"})
    assert answer["checkpoint"]["thread_id"] == thread_id
    assert (await client.threads.get_state(thread_id))["next"] == ["echo"]
    assert (await client.runs.wait(thread_id, "echo", input=None))["x"] == "edited!"


async def test_fork(client: Any) -> None:
    thread_id = await ran(client)
    before = (await client.threads.get_history(thread_id))[1]
    fork = await client.threads.update_state(thread_id, {"x": "forked"}, checkpoint=before["checkpoint"])
    again = await client.runs.wait(thread_id, "echo", input=None, checkpoint_id=fork["checkpoint"]["checkpoint_id"])
    assert again["x"] == "forked!"
    by_id = await client.threads.update_state(
        thread_id, {"x": "other"}, as_node="echo", checkpoint_id=before["checkpoint"]["checkpoint_id"]
    )
    assert (await client.threads.get_state(thread_id, checkpoint=by_id["checkpoint"]))["values"]["x"] == "other"


async def test_state_of_a_subgraph(client: Any) -> None:
    thread_id = await ran(client, "nested_hitl")
    outer = await client.threads.get_state(thread_id, subgraphs=True)
    inner = outer["tasks"][0]["state"]
    assert (inner["next"], inner["tasks"][0]["interrupts"][0]["value"]) == (["ask"], {"question": "ok?"})
    without = await client.threads.get_state(thread_id)
    assert without["tasks"][0]["state"] is None
    direct = await client.threads.get_state(thread_id, checkpoint=without["tasks"][0]["checkpoint"])
    assert direct["next"] == ["ask"]


async def test_state_errors(client: Any) -> None:
    thread_id = await ran(client)
    with pytest.raises(BadRequestError, match="nowhere"):
        await client.threads.update_state(thread_id, {"x": "a"}, as_node="nowhere")
    run = await client.runs.create(thread_id, "sleeper", input={"n": 60})
    with pytest.raises(ConflictError):
        await client.threads.update_state(thread_id, {"x": "a"})
    await client.runs.cancel(thread_id, run["run_id"], wait=True)
    with pytest.raises(NotFoundError):
        await client.threads.get_state(str(uuid4()))


async def test_thread_stream_shows_every_run(client: Any) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "echo", input={"x": "a"}, stream_resumable=True)
    await client.runs.join(thread_id, run["run_id"])
    seen: list[Any] = []
    async for part in await client.threads.join_stream(thread_id, last_event_id="-", stream_mode=["run_modes"]):
        seen.append(part)
        if part.event == "values" and "n" in part.data:
            break
    assert seen[0].event == "metadata"
    assert seen[0].data["run_id"] == run["run_id"]
    assert all(part.id for part in seen)
