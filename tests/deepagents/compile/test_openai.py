"""The path to a real model: `openai:` over HTTP, with what it is told about its surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deepagents.compile.given import MAIL, SKILL, Desk, Mailbox, toolbox
from tests.deepagents.compile.openai_server import OpenAIServer, calling, openai_server
from waystation.deepagents.compile import AgentDefinition, Compiler, ToolsUnavailable, parse_tree
from waystation.deepagents.models import Models


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with openai_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server


def gpt(**files: str) -> AgentDefinition:
    return parse_tree({"AGENTS.md": "You are terse.", **files}, model="openai:gpt-test")


async def test_tokens_stream_and_tools_are_called(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += [calling("write_file", file_path="/a.txt", content="hello"), "All is done now."]
    agent = await desk.open(gpt())
    config: Any = {"configurable": {"thread_id": agent.thread_id}}
    given = {"messages": [{"role": "user", "content": "go"}]}
    words = [
        chunk.text
        async for chunk, metadata in agent.graph.astream(given, config, stream_mode="messages")
        if chunk.type == "AIMessageChunk" and chunk.text
    ]
    assert words == ["All", "is", "done", "now."]
    assert (await agent.values())["files"]["/a.txt"]["content"] == "hello"
    assert openai.keys == ["Bearer sk-test"] * 2
    assert openai.asked[0]["model"] == "gpt-test"
    assert openai.asked[0]["stream"] is True
    assert {"write_file", "read_file", "task"} <= openai.tools()
    assert "execute" not in openai.tools()


async def test_a_tool_of_the_model_s_choice_waits_for_a_person(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += [calling("send", to="bob", body="hi"), "Sent."]
    mailbox = Mailbox()
    agent = await desk.open(gpt(**{"tools.json": toolbox("send", gates={f"{MAIL}::send": True})}), tools=mailbox)
    assert await agent.say("go") == ""
    assert mailbox.sent == []
    assert await agent.resume({"decisions": [{"type": "approve"}]}) == "Sent."
    assert mailbox.sent == [("bob", "hi")]


async def test_the_prompt_tells_the_date_where_the_user_is(openai: OpenAIServer, desk: Desk) -> None:
    agent = await desk.open(gpt())
    # There is always a day between these two.
    zones = ["Pacific/Kiritimati", "Etc/GMT+12", "../etc/passwd", "Nowhere/Land", "", None]
    dates = []
    for zone in zones:
        openai.says.append("ok")
        await agent.say("go", **({} if zone is None else {"user_timezone": zone}))
        [line] = [line for line in openai.prompt().splitlines() if line.startswith("Today is")]
        assert line.endswith(f", {zone if zone in zones[:2] else 'UTC'}.")
        dates.append(line.split(" in the")[0])
    assert dates[0] != dates[1]
    assert openai.prompt().startswith("You are terse.")


async def test_a_subagent_sees_its_own_instructions_and_the_date(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += [calling("task", description="say hello", subagent_type="clerk"), "hello", "It said hello."]
    agent = await desk.open(gpt(**{"subagents/clerk/AGENTS.md": "---\ndescription: files\n---\nYou file."}))
    assert await agent.say("go", user_timezone="Asia/Tokyo") == "It said hello."
    assert openai.prompt(1).startswith("You file.")
    assert "Asia/Tokyo" in openai.prompt(1)
    assert "clerk: files" in str(openai.asked[0]["tools"])


async def test_the_general_purpose_subagent_has_what_the_agent_has(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += [
        calling("task", description="send", subagent_type="general-purpose"),
        calling("send", to="a", body="b"),
    ]
    openai.says += ["sent", "It is sent."]
    files = {"tools.json": toolbox("send"), "skills/report/SKILL.md": SKILL}
    broken = Mailbox(broken=OSError())
    agent = await desk.open(gpt(**files), tools=broken)
    assert await agent.say("go", user_timezone="Asia/Tokyo") == "It is sent."
    assert "Asia/Tokyo" in openai.prompt(1)
    assert "How to write a report" in openai.prompt(1)
    assert "The tool send failed (OSError)" in str(openai.asked[2]["messages"])


async def test_a_subagent_may_have_a_model_of_its_own(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += [calling("task", description="say hello", subagent_type="clerk"), "hello", "Done."]
    agent = await desk.open(gpt(**{"subagents/clerk/AGENTS.md": "---\nmodel_id: openai:gpt-small\n---\nYou file."}))
    await agent.say("go")
    assert [asked["model"] for asked in openai.asked] == ["gpt-test", "gpt-small", "gpt-test"]


async def test_the_prompt_lists_skills_and_holds_the_memory(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += [calling("write_file", file_path="/memories/AGENTS.md", content="- likes tea"), "Noted.", "ok"]
    definition = gpt(**{"skills/report/SKILL.md": SKILL})
    await (await desk.open(definition, protect_memory=False)).say("remember that")
    assert "How to write a report" in openai.prompt()
    await (await desk.open(definition)).say("go")
    assert "- likes tea" in openai.prompt()


async def test_tools_that_clash_are_renamed_and_gated_by_their_new_names(openai: OpenAIServer, desk: Desk) -> None:
    import json

    other = "https://post.example/mcp"
    mine = json.loads(toolbox("send", "write_file", gates={f"{other}::send": True}))
    mine["tools"].append({"name": "send", "mcp_server_url": other, "mcp_server_name": "Royal Mail"})
    openai.says += [calling("mail_example_send", to="a", body="b"), calling("royal_mail_send", to="c", body="d")]
    mailbox = Mailbox()
    agent = await desk.open(gpt(**{"tools.json": json.dumps(mine)}), tools=mailbox)
    assert await agent.say("go") == ""
    assert {"mail_example_send", "royal_mail_send", "mail_example_write_file", "write_file"} <= openai.tools()
    assert not {"purge", "send"} & openai.tools()
    assert "Not the built-in one." not in [
        tool["function"]["description"]
        for tool in openai.asked[-1]["tools"]
        if tool["function"]["name"] == "write_file"
    ]
    assert mailbox.sent == [("a", "b")]


async def test_the_prompt_names_the_tools_that_are_missing(openai: OpenAIServer, desk: Desk) -> None:
    openai.says += ["ok", "ok"]
    definition = gpt(**{"tools.json": toolbox("send", "fly")})
    await (await desk.open(definition, tools=Mailbox(failure=ToolsUnavailable("it cannot be reached")))).say("go")
    assert f"Not available right now: send, fly (the server {MAIL}: it cannot be reached)." in openai.prompt()
    await (await desk.open(definition, tools=Mailbox())).say("go")
    assert f"Not available right now: fly (the server {MAIL} does not offer them)." in openai.prompt()


async def test_a_model_configuration_of_the_server(openai: OpenAIServer, desk: Desk) -> None:
    openai.says.append("ok")
    desk.compiler = Compiler(Models("quick", {"quick": {"model": "openai:gpt-quick", "temperature": 0.25}}))
    await (await desk.open(parse_tree({}))).say("go")
    assert openai.asked[0]["model"] == "gpt-quick"
    assert openai.asked[0]["temperature"] == 0.25
