"""Agents on a model that is asked over HTTP: what it is told, and what becomes of what it says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.deepagents.compile.openai_server import OpenAIServer, calling, openai_server
from tests.deepagents.runs.conftest import GATED, Desk, words

FAR_EAST, FAR_WEST = "Pacific/Kiritimati", "Pacific/Niue"
"""25 hours apart: it is never the same day in both."""


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with openai_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server


async def test_tokens_and_tools(desk: Desk, openai: OpenAIServer) -> None:
    agent = await desk.agent(model="openai:gpt-test", system_prompt="Be terse.", tools=GATED)
    thread = await desk.thread(agent)
    openai.says += [calling("write_file", file_path="/a.txt", content="hello"), "All is done now."]
    assert await desk.say(thread, agent, "go") == ""
    stream = desk.managed.threads.stream(
        thread,
        agent_id=agent,
        messages=[],
        command={"resume": {"decisions": [{"type": "approve"}]}},
        stream_mode=["messages-tuple"],
    )
    said = [event.data[0] async for event in stream if event.event == "messages"]
    assert [each["content"] for each in said if each["type"] == "AIMessageChunk" and each["content"]] == [
        "All",
        "is",
        "done",
        "now.",
    ]
    assert await desk.files(thread) == {"/a.txt": "hello"}
    assert openai.prompt().startswith("Be terse.")
    assert openai.asked[0]["model"] == "gpt-test"


async def test_the_day_is_the_users(desk: Desk, openai: OpenAIServer) -> None:
    agent: dict[str, Any] = await desk.managed.agents.create(
        name="clerk", model="openai:gpt-test", user_timezone=FAR_EAST
    )
    thread = await desk.thread(agent["id"])
    for given, zone in (
        ({}, FAR_EAST),
        ({"user_timezone": FAR_WEST}, FAR_WEST),
        ({"user_timezone": "Atlantis"}, "UTC"),
        ({"config": {"configurable": {"user_timezone": FAR_WEST}}}, FAR_WEST),
    ):
        openai.says.append("Good day.")
        await desk.say(thread, agent["id"], "Hello", **given)
        line = f"Today is {datetime.now(ZoneInfo(zone)):%A, %Y-%m-%d} in the user's time zone, {zone}."
        assert line in openai.prompt()


async def test_a_revision_is_used_from_the_next_run_on(desk: Desk, openai: OpenAIServer) -> None:
    agent = await desk.agent(model="openai:gpt-test", system_prompt="First.")
    thread = await desk.thread(agent)
    waiting = await desk.managed.threads.invoke(
        agent_id=agent, thread_id=thread, messages=words("Hello"), after_seconds=0.3
    )
    await desk.managed.agents.update(agent, system_prompt="Second.")
    openai.says += ["One.", "Two."]
    assert await desk.answer(waiting) == "One."
    assert await desk.say(thread, agent, "Hello") == "Two."
    assert [openai.prompt(index)[:7] for index in (0, 1)] == ["First.\n", "Second."]


async def test_a_model_that_fails_fails_the_run_and_its_words_stay(desk: Desk, openai: OpenAIServer) -> None:
    agent = await desk.agent(model="once")
    thread = await desk.thread(agent)
    stream = desk.managed.threads.stream(thread, agent_id=agent, messages=words("Hello"))
    last = [event async for event in stream][-1]
    assert last.event == "error"
    assert await desk.status(thread) == "error"
    openai.says.append("Better.")
    assert await desk.say(thread, agent, "Again") == "Better."
    assert [message["role"] for message in openai.asked[-1]["messages"]] == ["system", "user", "user"]
