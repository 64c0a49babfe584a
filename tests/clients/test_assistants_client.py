"""The assistants part of the Python SDK."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError


async def test_create_get_and_delete(client: Any) -> None:
    created = await client.assistants.create("echo", name="mine", description="says it back", metadata={"team": "a"})
    assert await client.assistants.get(created["assistant_id"]) == created
    assert (created["name"], created["version"], created["metadata"]) == ("mine", 1, {"team": "a"})
    await client.assistants.delete(created["assistant_id"])
    with pytest.raises(NotFoundError):
        await client.assistants.get(created["assistant_id"])


async def test_same_id_twice(client: Any) -> None:
    assistant_id = str(uuid4())
    await client.assistants.create("echo", assistant_id=assistant_id, name="first")
    with pytest.raises(ConflictError):
        await client.assistants.create("echo", assistant_id=assistant_id, name="second")
    again = await client.assistants.create("echo", assistant_id=assistant_id, name="third", if_exists="do_nothing")
    assert again["name"] == "first"


async def test_versions(client: Any) -> None:
    assistant_id = (await client.assistants.create("echo", config={"configurable": {"model": "a"}}))["assistant_id"]
    await client.assistants.update(assistant_id, config={"configurable": {"model": "b"}}, name="renamed")
    await client.assistants.update(assistant_id, context={"model": "c"})
    versions = await client.assistants.get_versions(assistant_id)
    assert [version["version"] for version in versions] == [3, 2, 1]
    assert [version["context"] for version in versions] == [{"model": "c"}, {"model": "b"}, {"model": "a"}]
    assert await client.assistants.get_versions(assistant_id, limit=1, offset=1) == [versions[1]]
    back = await client.assistants.set_latest(assistant_id, 1)
    assert (back["version"], back["name"], back["context"]) == (1, "Untitled", {"model": "a"})


async def test_search_and_count(client: Any) -> None:
    mark = {"mark": str(uuid4())}
    for name in ("beta", "Alpha", "gamma"):
        await client.assistants.create("echo", name=name, metadata=mark)
    found = await client.assistants.search(metadata=mark, sort_by="name", sort_order="asc")
    assert [assistant["name"] for assistant in found] == ["Alpha", "beta", "gamma"]
    assert [each["name"] for each in await client.assistants.search(metadata=mark, name="ALPH")] == ["Alpha"]
    assert await client.assistants.search(metadata=mark, graph_id="chat") == []
    assert await client.assistants.count(metadata=mark, graph_id="echo") == 3
    assert await client.assistants.count(metadata=mark, name="amm") == 1
    selected = await client.assistants.search(metadata=mark, select=["name"], limit=1, sort_by="name", sort_order="asc")
    assert selected == [{"name": "Alpha"}]


async def test_pages(client: Any) -> None:
    mark = {"mark": str(uuid4())}
    for _ in range(3):
        await client.assistants.create("echo", metadata=mark)
    first = await client.assistants.search(metadata=mark, limit=2, response_format="object")
    assert (len(first["assistants"]), first["next"]) == (2, "2")
    last = await client.assistants.search(metadata=mark, limit=2, offset=2, response_format="object")
    assert (len(last["assistants"]), last["next"]) == (1, None)


async def test_default_assistant_of_each_graph(client: Any) -> None:
    chat = (await client.assistants.search(graph_id="chat", metadata={"created_by": "system"}))[0]
    assert (chat["name"], chat["description"], chat["version"]) == ("chat", "Streams words.", 1)


async def test_graph_schemas_and_subgraphs(client: Any) -> None:
    assistant_id = (await client.assistants.create("nested"))["assistant_id"]
    drawn = await client.assistants.get_graph(assistant_id)
    assert {node["id"] for node in drawn["nodes"]} == {"__start__", "before", "sub", "after", "__end__"}
    opened = await client.assistants.get_graph(assistant_id, xray=True)
    assert {"sub:one", "sub:two"} < {node["id"] for node in opened["nodes"]}
    schemas = await client.assistants.get_schemas(assistant_id)
    assert (schemas["graph_id"], set(schemas["state_schema"]["properties"])) == ("nested", {"x", "n", "log"})
    subgraphs = await client.assistants.get_subgraphs(assistant_id)
    assert list(subgraphs) == ["sub"]
    assert await client.assistants.get_subgraphs(assistant_id, namespace="sub", recurse=True) == subgraphs


async def test_delete_with_its_threads(client: Any) -> None:
    assistant_id = (await client.assistants.create("echo"))["assistant_id"]
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, assistant_id, input={"x": "a"})
    await client.assistants.delete(assistant_id, delete_threads=True)
    with pytest.raises(NotFoundError):
        await client.threads.get(thread_id)


async def test_errors(client: Any) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        await client.assistants.create("nowhere")
    with pytest.raises(UnprocessableEntityError):
        await client.assistants.get("not-a-uuid")
