"""A compiled agent on the server: the official client drives it, the server's engine runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.conftest import connected, served
from waystation.config import GraphSpec
from waystation.deepagents.compile.memory import NAMESPACE

AGENTS = Path(__file__).parent / "project" / "agents.py"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LangGraphClient]:
    graphs = {"agent": GraphSpec("agent", f"{AGENTS}:agent")}
    async with served(tmp_path, graphs=graphs) as app, connected(app) as http:
        yield LangGraphClient(http)


async def say(client: LangGraphClient, thread: str, text: str, **more: Any) -> Any:
    given: Any = {"messages": [{"role": "user", "content": text}]}
    return await client.runs.wait(thread, "agent", input=given, **more)


async def test_a_story_of_memory(client: LangGraphClient) -> None:
    first = (await client.threads.create())["thread_id"]
    paused = await say(client, first, "skill report\nremember I like tea")
    [interrupt] = paused["__interrupt__"]
    assert interrupt["value"]["action_requests"][0]["args"]["file_path"] == "/memories/AGENTS.md"
    decisions = {interrupt["id"]: {"decisions": [{"type": "approve"}]}}
    state: Any = await client.runs.wait(first, "agent", command={"resume": decisions})
    assert "A report has three lines." in state["messages"][-1]["content"]

    second = (await client.threads.create())["thread_id"]
    assert "I like tea" in (await say(client, second, "What do you remember?"))["messages"][-1]["content"]
    found = await client.store.search_items(["deepagents", "assistant", "memories"])
    assert [(item["key"], item["value"]["content"]) for item in found["items"]] == [("/AGENTS.md", "- I like tea")]


async def test_tokens_are_streamed(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    given: Any = {"messages": [{"role": "user", "content": "Hello"}]}
    words = [
        part.data[0]["content"]
        async for part in client.runs.stream(thread, "agent", input=given, stream_mode="messages-tuple")
        if part.event == "messages"
    ]
    assert len(words) > 5
    assert "".join(words).startswith("[demo model] You said: 'Hello'.")


async def test_a_client_cannot_choose_whose_memory_it_is(client: LangGraphClient) -> None:
    theirs = ("deepagents", "assistant", "memories", "user", "somebody")
    await client.store.put_item(theirs, "/AGENTS.md", {"content": "- a secret", "encoding": "utf-8"})
    thread = (await client.threads.create())["thread_id"]
    config: Any = {"configurable": {NAMESPACE: list(theirs)}}
    state = await say(client, thread, "What do you remember?", config=config)
    assert "I remember nothing yet." in state["messages"][-1]["content"]
