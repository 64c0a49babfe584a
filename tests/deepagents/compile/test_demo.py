"""What the demo model makes of instructions."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from waystation.deepagents.models.demo import LABEL, DemoChatModel

PROMPT = """Skills: report (read `/skills/report/SKILL.md` for more)

<agent_memory>
/memories/AGENTS.md

- I like tea

</agent_memory>"""


@tool
def write_file(file_path: str, content: str) -> str:
    """Write."""
    return ""


@tool
def read_file(file_path: str) -> str:
    """Read."""
    return ""


@tool
def task(description: str, subagent_type: str) -> str:
    """Delegate."""
    return ""


def answer(*messages: BaseMessage, prompt: str = PROMPT) -> AIMessage:
    model = DemoChatModel().bind_tools([write_file, read_file, task])
    return model.invoke([SystemMessage(prompt), *messages])


@pytest.mark.parametrize(
    ("text", "name", "args"),
    [
        ("write a.md: b: c", "write_file", {"file_path": "/a.md", "content": "b: c"}),
        ("WRITE /a.md:", "write_file", {"file_path": "/a.md", "content": ""}),
        ("read a.md", "read_file", {"file_path": "/a.md"}),
        ("skill Report", "read_file", {"file_path": "/skills/report/SKILL.md"}),
        ("use skill report", "read_file", {"file_path": "/skills/report/SKILL.md"}),
        ("ask my clerk: read a.md", "task", {"description": "read a.md", "subagent_type": "my clerk"}),
        ('call task {"a": {"b": 1}}', "task", {"a": {"b": 1}}),
        ("call task", "task", {}),
        (
            "remember I live in Rome",
            "write_file",
            {"file_path": "/memories/AGENTS.md", "content": "- I like tea\n- I live in Rome"},
        ),
    ],
)
def test_an_instruction_becomes_a_call(text: str, name: str, args: dict[str, Any]) -> None:
    [call] = answer(HumanMessage(text)).tool_calls
    assert (call["name"], call["args"]) == (name, args)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello", "You said: 'Hello'. I am not a language model"),
        ("Do you remember me?", "I remember:\n- I like tea"),
        ("call fly {}", "I have no tool fly; I have read_file, task, write_file."),
        ("call task {1}", "The arguments of task must be a JSON object."),
        ("skill memo", "I have no skill memo."),
    ],
)
def test_what_is_no_call_is_answered(text: str, said: str) -> None:
    message = answer(HumanMessage(text))
    assert message.tool_calls == []
    assert message.text.startswith(f"{LABEL} {said}")


def test_without_memory() -> None:
    assert answer(HumanMessage("Do you remember me?"), prompt="").text == f"{LABEL} I remember nothing yet."


def test_lines_are_carried_out_one_after_the_other_and_reported() -> None:
    request = HumanMessage("read a.md && read b.md\nread c.md\ncall fly")
    conversation: list[BaseMessage] = [request]
    steps = []
    while (message := answer(*conversation)).tool_calls:
        steps.append([call["args"]["file_path"] for call in message.tool_calls])
        conversation.append(message)
        conversation += [
            ToolMessage(f"text of {call['args']['file_path']}", name="read_file", tool_call_id=call["id"])
            for call in message.tool_calls
        ]
    assert steps == [["/a.md", "/b.md"], ["/c.md"]]
    assert message.text == (
        f"{LABEL} Done.\nread_file: text of /a.md\nread_file: text of /b.md\nread_file: text of /c.md\n"
        "I have no tool fly; I have read_file, task, write_file."
    )
    ids = [call["id"] for each in conversation if isinstance(each, AIMessage) for call in each.tool_calls]
    assert len(set(ids)) == 3
    assert answer(request).tool_calls == answer(request).tool_calls, "always the same"


@pytest.mark.parametrize("text", ["Hello there", "read a.md && read b.md"])
async def test_streams_add_up_to_the_whole(text: str) -> None:
    model = DemoChatModel().bind_tools([read_file])
    whole = await model.ainvoke(text)
    for streamed in (list(model.stream(text)), [chunk async for chunk in model.astream(text)]):
        assert len(streamed) > 3
        total: Any = streamed[0]
        for chunk in streamed[1:]:
            total += chunk
        assert total.text == whole.text
        assert total.tool_calls == whole.tool_calls
