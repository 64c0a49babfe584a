"""Streams through the Python SDK: every mode, subgraphs, joining and replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.fixture
async def thread_id(client: Any) -> str:
    thread: dict[str, str] = await client.threads.create()
    return thread["thread_id"]


async def streamed(client: Any, thread_id: str | None, graph: str, given: Any, mode: Any, **options: Any) -> list[Any]:
    return [part async for part in client.runs.stream(thread_id, graph, input=given, stream_mode=mode, **options)]


def of(parts: list[Any], name: str) -> list[Any]:
    """The data of the events called `name`."""
    return [part.data for part in parts if part.event == name]


async def test_metadata_comes_first(client: Any, thread_id: str) -> None:
    told: list[Any] = []
    parts = await streamed(client, thread_id, "echo", {"x": "a"}, "values", on_run_created=told.append)
    assert (parts[0].event, parts[0].data) == ("metadata", {"run_id": told[0]["run_id"], "attempt": 1})
    assert told[0]["thread_id"] == thread_id
    assert [part.id for part in parts if part.id] == []


async def test_values(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "nested", {"x": "a"}, "values")
    assert [data["x"] for data in of(parts, "values")] == ["a", "a!", "a!", "a!!"]


async def test_updates(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "nested", {"x": "a"}, "updates")
    assert [list(data) for data in of(parts, "updates")] == [["before"], ["sub"], ["after"]]


async def test_messages(client: Any, thread_id: str) -> None:
    given = {"messages": [{"role": "user", "content": "3"}]}
    parts = await streamed(client, thread_id, "chat", given, "messages")
    texts = [data[0]["content"] for data in of(parts, "messages/partial")]
    assert texts == ["w0", "w0 ", "w0 w1", "w0 w1 ", "w0 w1 w2"]
    described = of(parts, "messages/metadata")[0]
    assert list(described) == [of(parts, "messages/partial")[0][0]["id"]]


async def test_messages_tuple(client: Any, thread_id: str) -> None:
    given = {"messages": [{"role": "user", "content": "3"}]}
    parts = await streamed(client, thread_id, "chat", given, "messages-tuple")
    chunks = of(parts, "messages")
    assert "".join(chunk["content"] for chunk, _ in chunks) == "w0 w1 w2"
    assert {chunk["type"] for chunk, _ in chunks} == {"AIMessageChunk"}
    assert {metadata["langgraph_node"] for _, metadata in chunks} == {"talk"}


async def test_custom(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "custom", {"x": "a"}, "custom")
    assert of(parts, "custom") == [{"progress": 1}, {"progress": 2}]


async def test_tasks_checkpoints_and_debug(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "echo", {"x": "a"}, ["tasks", "checkpoints", "debug"])
    assert [set(task) & {"input", "result"} for task in of(parts, "tasks")] == [{"input"}, {"result"}]
    assert [data["next"] for data in of(parts, "checkpoints")] == [["__start__"], ["echo"], []]
    assert {data["type"] for data in of(parts, "debug")} == {"checkpoint", "task", "task_result"}


async def test_langchain_events(client: Any, thread_id: str) -> None:
    given = {"messages": [{"role": "user", "content": "2"}]}
    parts = await streamed(client, thread_id, "chat", given, "events")
    names = [data["event"] for data in of(parts, "events")]
    assert {"on_chain_start", "on_chat_model_stream", "on_chain_end"} <= set(names)


async def test_subgraphs(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "nested", {"x": "a"}, ["updates", "values"], stream_subgraphs=True)
    inner = {part.event.split(":")[0] for part in parts if "|" in part.event}
    assert inner == {"updates|sub", "values|sub"}
    assert [next(iter(part.data)) for part in parts if part.event.startswith("updates")] == [
        "before",
        "one",
        "two",
        "sub",
        "after",
    ]


async def test_interrupts_show(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "hitl", {"x": "a"}, ["values", "updates"])
    assert of(parts, "values")[-1]["__interrupt__"][0]["value"] == {"question": "ok?"}
    assert of(parts, "updates")[-1]["__interrupt__"][0]["value"] == {"question": "ok?"}
    resumed = await streamed(client, thread_id, "hitl", None, "values", command={"resume": "yes"})
    assert of(resumed, "values")[-1]["x"] == "yes!"


async def test_failure_is_the_last_event(client: Any, thread_id: str) -> None:
    parts = await streamed(client, thread_id, "failing", {"x": "a"}, "values")
    assert (parts[-1].event, parts[-1].data) == ("error", {"error": "ValueError", "message": "the node failed"})


async def test_stateless(client: Any) -> None:
    parts = await streamed(client, None, "echo", {"x": "a"}, "values", on_completion="delete")
    assert of(parts, "values")[-1]["x"] == "a!"


async def test_join_a_resumable_run(client: Any, thread_id: str) -> None:
    given = {"messages": [{"role": "user", "content": "5"}]}
    parts = await streamed(client, thread_id, "chat", given, ["messages-tuple", "values"], stream_resumable=True)
    run_id = parts[0].data["run_id"]
    ids = [part.id for part in parts]
    assert len(set(ids)) == len(ids)

    async def joined(**options: Any) -> list[tuple[str, Any]]:
        return [(p.event, p.data) async for p in client.runs.join_stream(thread_id, run_id, **options)]

    everything = [(part.event, part.data) for part in parts]
    assert await joined(last_event_id="-1") == everything
    assert await joined(last_event_id=ids[3]) == everything[4:]
    assert await joined(last_event_id=ids[-1]) == []
    assert [name for name, _ in await joined(last_event_id="-1", stream_mode="values")] == ["values", "values"]


async def test_join_while_it_goes(client: Any, thread_id: str) -> None:
    given = {"messages": [{"role": "user", "content": "20"}]}
    run = await client.runs.create(
        thread_id, "slow_chat", input=given, stream_mode=["messages-tuple"], stream_resumable=True
    )

    async def joined() -> list[tuple[str | None, Any]]:
        stream = client.runs.join_stream(thread_id, run["run_id"], last_event_id="-1", stream_mode=["messages-tuple"])
        return [(part.id, part.data) async for part in stream]

    first, second = await asyncio.gather(joined(), joined())
    assert first == second
    assert "".join(chunk["content"] for _, (chunk, _) in first) == " ".join(f"w{i}" for i in range(20))
