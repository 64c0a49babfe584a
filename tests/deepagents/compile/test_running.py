"""Agents at work: skills, subagents, files, memory and approvals, on the demo model and our own saver and store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.deepagents.compile.given import MAIL, SKILL, Desk, Mailbox, demo, toolbox
from waystation.deepagents.compile import ToolsUnavailable
from waystation.deepagents.models.demo import LABEL
from waystation.errors import NotSupported, UnprocessableInput

SEND = 'call send {"to": "bob", "body": "hi"}'

GATED = demo({"AGENTS.md": "You send mail.", "tools.json": toolbox("send", gates={f"{MAIL}/::send": True})})


async def test_a_skill_is_found_and_read(desk: Desk) -> None:
    agent = await desk.open(demo({"AGENTS.md": "You write.", "skills/report/SKILL.md": SKILL}))
    assert "A report has three lines." in await agent.say("skill report")


async def test_a_skill_that_changed_is_read_anew_on_the_same_thread(desk: Desk) -> None:
    agent = await desk.open(demo({"skills/report/SKILL.md": SKILL}))
    await agent.say("skill report")
    changed = demo({"skills/memo/SKILL.md": SKILL.replace("report", "memo")})
    agent.graph = (await desk.open(changed)).graph
    assert "A memo" not in await agent.say("skill report")
    assert "three lines" in await agent.say("skill memo")


async def test_files_of_the_definition_can_be_read_and_not_changed(desk: Desk) -> None:
    agent = await desk.open(
        demo({"docs/rules.md": "Be kind.", "note.txt": "At the root.", "skills/report/SKILL.md": SKILL})
    )
    assert "Be kind." in await agent.say("read docs/rules.md")
    assert "At the root." in await agent.say("read note.txt")
    assert "cannot be changed" in await agent.say("write docs/rules.md: Be rude.")
    assert "cannot be changed" in await agent.say("write skills/own/SKILL.md: mine")
    assert "cannot be changed" in await agent.say('call delete {"file_path": "/docs"}')
    assert "Be kind." in await agent.say("read docs/rules.md")


async def test_files_of_the_agent_are_in_its_thread(desk: Desk) -> None:
    agent = await desk.open(demo())
    await agent.say("write notes.md: buy milk")
    assert (await agent.values())["files"]["/notes.md"]["content"] == "buy milk"
    other = await desk.open(demo())
    assert "buy milk" not in await other.say("read notes.md")


async def test_a_subagent_works_with_its_own_tools(desk: Desk) -> None:
    mailbox = Mailbox()
    definition = demo(
        {
            "AGENTS.md": "You delegate.",
            "subagents/courier/AGENTS.md": '---\ndescription: "delivers"\n---\n\nYou deliver.',
            "subagents/courier/tools.json": toolbox("send"),
        }
    )
    agent = await desk.open(definition, tools=mailbox)
    assert "I have no tool send" in await agent.say(SEND)
    assert "sent 'hi' to bob" in await agent.say(f"ask courier: {SEND}")
    assert mailbox.sent == [("bob", "hi")]


async def test_a_subagent_has_its_own_skills(desk: Desk) -> None:
    files = {"subagents/clerk/AGENTS.md": "You file.", "subagents/clerk/skills/report/SKILL.md": SKILL}
    agent = await desk.open(demo(files))
    assert "I have no skill report" in await agent.say("skill report")
    assert "three lines" in await agent.say("ask clerk: skill report")


async def test_approve(desk: Desk) -> None:
    mailbox = Mailbox()
    agent = await desk.open(GATED, tools=mailbox)
    assert await agent.say(SEND) == ""
    assert mailbox.sent == []
    assert "sent 'hi' to bob" in await agent.resume({"decisions": [{"type": "approve"}]})
    assert mailbox.sent == [("bob", "hi")]


async def test_edit(desk: Desk) -> None:
    mailbox = Mailbox()
    agent = await desk.open(GATED, tools=mailbox)
    await agent.say(SEND)
    action = {"name": "send", "args": {"to": "eve", "body": "edited"}}
    await agent.resume({"decisions": [{"type": "edit", "edited_action": action}]})
    assert mailbox.sent == [("eve", "edited")]


@pytest.mark.parametrize(
    "decision", [{"type": "reject", "message": "not today"}, {"type": "respond", "message": "not today"}]
)
async def test_reject_and_respond(desk: Desk, decision: dict[str, Any]) -> None:
    mailbox = Mailbox()
    agent = await desk.open(GATED, tools=mailbox)
    await agent.say(SEND)
    assert "not today" in await agent.resume({"decisions": [decision]})
    assert mailbox.sent == []


async def test_a_bad_decision_leaves_the_pause_as_it_was(desk: Desk) -> None:
    agent = await desk.open(GATED, tools=Mailbox())
    await agent.say(SEND)
    with pytest.raises(UnprocessableInput):
        await agent.resume({"decisions": []})
    assert "sent 'hi'" in await agent.resume({"decisions": [{"type": "approve"}]})


async def test_a_server_that_dies_during_the_pause_does_not_spoil_the_decision(desk: Desk) -> None:
    other = "https://other.example/mcp"
    tools = json.loads(toolbox("send", gates={"send": True}))
    tools["tools"].append({"name": "purge", "mcp_server_url": other})
    tools["interrupt_config"]["purge"] = True
    definition = demo({"tools.json": json.dumps(tools)})
    mailbox = Mailbox()
    agent = await desk.open(definition, tools=mailbox)
    await agent.say(f"{SEND} && call purge")
    agent.graph = (await desk.open(definition, tools=Mailbox(failure=OSError()))).graph
    said = await agent.resume({"decisions": [{"type": "approve"}, {"type": "reject", "message": "keep it"}]})
    assert "send is not a valid tool" in said
    assert "keep it" in said


async def test_a_gate_in_a_subagent_and_two_at_once_by_id(desk: Desk) -> None:
    mailbox = Mailbox()
    gated = toolbox("send", gates={"send": True})
    files = {
        f"subagents/{name}/{file}": text
        for name in "ab"
        for file, text in {"AGENTS.md": "", "tools.json": gated}.items()
    }
    agent = await desk.open(demo(files), tools=mailbox)
    await agent.say(f"ask a: {SEND} && ask b: {SEND.replace('bob', 'sue')}")
    pending = await agent.pending()
    assert len(pending) == 2
    by_person = {each["value"]["action_requests"][0]["args"]["to"]: each["id"] for each in pending}
    with pytest.raises(UnprocessableInput, match="several interrupts are open"):
        await agent.resume({"decisions": [{"type": "approve"}]})
    assert await agent.resume({by_person["bob"]: {"decisions": [{"type": "approve"}]}}) == ""
    await agent.resume({by_person["sue"]: {"decisions": [{"type": "reject"}]}})
    assert mailbox.sent == [("bob", "hi")]


async def test_a_bare_name_gates_a_built_in_tool(desk: Desk) -> None:
    agent = await desk.open(demo({"tools.json": toolbox(gates={"write_file": True})}))
    assert await agent.say("write notes.md: hi") == ""
    assert "/notes.md" in await agent.resume({"decisions": [{"type": "approve"}]})


async def test_memory_is_approved_and_recalled_in_a_new_thread(desk: Desk) -> None:
    agent = await desk.open(demo())
    assert await agent.say("remember I like tea") == ""
    assert "remember nothing" in await (await desk.open(demo())).say("What do you remember?")
    await agent.resume({"decisions": [{"type": "approve"}]})
    assert "I like tea" in await (await desk.open(demo())).say("What do you remember?")
    assert "I like tea" in await agent.say("What do you remember?"), "the memory is read anew on the same thread"


async def test_what_is_rejected_is_not_remembered(desk: Desk) -> None:
    agent = await desk.open(demo())
    await agent.say("remember I like tea")
    await agent.resume({"decisions": [{"type": "reject"}]})
    assert "remember nothing" in await (await desk.open(demo())).say("What do you remember?")


@pytest.mark.parametrize("path", ["memories/AGENTS.md", "/x/../memories/AGENTS.md", "//memories/./AGENTS.md"])
async def test_no_spelling_of_the_path_gets_around_the_approval(desk: Desk, path: str) -> None:
    agent = await desk.open(demo())
    await agent.say(f'call write_file {{"file_path": "{path}", "content": "sneaky"}}')
    assert "remember nothing" in await (await desk.open(demo())).say("What do you remember?")


@pytest.mark.parametrize("subagent", ["general-purpose", "clerk"])
async def test_subagents_need_approval_for_memory_too(desk: Desk, subagent: str) -> None:
    agent = await desk.open(demo({"subagents/clerk/AGENTS.md": "You file."}))
    write = 'call write_file {"file_path": "/memories/AGENTS.md", "content": "- tea"}'
    assert await agent.say(f"ask {subagent}: {write}") == ""
    assert [each["value"]["action_requests"][0]["name"] for each in await agent.pending()] == ["write_file"]


async def test_a_thread_can_do_without_approval(desk: Desk) -> None:
    agent = await desk.open(demo(), protect_memory=False)
    assert "/memories/AGENTS.md" in await agent.say("remember I like tea")
    again = await desk.open(demo(), protect_memory=False)
    await again.say("remember I live in Rome")
    recalled = await (await desk.open(demo())).say("What do you remember?")
    assert "tea" in recalled
    assert "Rome" in recalled


async def test_memory_is_of_one_user_and_one_agent(desk: Desk) -> None:
    await (await desk.open(demo(), protect_memory=False)).say("remember I like tea")
    for other in ({"user_id": "ann.example@org"}, {"agent_id": "agent-2"}):
        assert "remember nothing" in await (await desk.open(demo(), **other)).say("What do you remember?")


async def test_memory_can_be_shared(desk: Desk) -> None:
    shared = replace(demo(), memory="agent")
    await (await desk.open(shared, protect_memory=False)).say("remember I like tea")
    assert "tea" in await (await desk.open(shared, user_id="bob")).say("What do you remember?")


async def test_the_server_keeps_running_without_a_dead_server(desk: Desk) -> None:
    definition = demo({"AGENTS.md": "You send.", "tools.json": toolbox("send")})
    agent = await desk.open(definition, tools=Mailbox(failure=ToolsUnavailable("it cannot be reached")))
    assert "I have no tool send" in await agent.say(SEND)
    mailbox = Mailbox()
    agent.graph = (await desk.open(definition, tools=mailbox)).graph
    assert "sent 'hi'" in await agent.say(SEND)


async def test_a_tool_that_fails_is_told_to_the_model_without_its_text(desk: Desk) -> None:
    definition = demo({"tools.json": toolbox("send")})
    agent = await desk.open(definition, tools=Mailbox(broken=RuntimeError("Bearer s3cret")))
    said = await agent.say(SEND)
    assert "The tool send failed (RuntimeError)" in said
    assert "s3cret" not in str(await agent.values())


async def test_a_sandbox_is_refused(desk: Desk) -> None:
    with pytest.raises(NotSupported, match="sandbox"):
        await desk.open(replace(demo(), backend="sandbox"))


async def test_an_agent_can_be_streamed(desk: Desk) -> None:
    agent = await desk.open(demo())
    config = {"configurable": {"thread_id": agent.thread_id}}
    given = {"messages": [{"role": "user", "content": "Hello there"}]}
    words = [chunk.text async for chunk, _ in agent.graph.astream(given, config, stream_mode="messages")]
    assert len([word for word in words if word]) > 5
    assert "".join(words).startswith(f"{LABEL} You said: 'Hello there'")
