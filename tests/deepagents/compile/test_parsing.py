"""Definitions from file trees, and what is said about trees that make none."""

from __future__ import annotations

import json

import pytest

from tests.deepagents.compile.given import MAIL, SKILL, toolbox
from waystation.deepagents.compile import Skill, Subagent, Toolbox, ToolReference, parse_tree
from waystation.deepagents.errors import InvalidAgent


def test_a_whole_tree() -> None:
    definition = parse_tree(
        {
            "AGENTS.md": "---\nnot: frontmatter here\n---\nVerbatim.",
            "tools.json": toolbox("send", url=f" {MAIL}/ ", gates={"send": True}),
            "skills/report/SKILL.md": SKILL,
            "skills/report/example.txt": "An example.",
            "subagents/my clerk/AGENTS.md": '---\ndescription: "files"\nmodel_id: "openai:x"\n---\n\nYou file.\n',
            "subagents/my clerk/tools.json": toolbox(),
            "subagents/my clerk/skills/report/SKILL.md": SKILL,
            "docs/rules.md": "Be kind.",
            "agent.json": "{}",
        },
        model="demo:chat",
        memory="agent",
    )
    assert definition.instructions == "---\nnot: frontmatter here\n---\nVerbatim."
    assert definition.toolbox == Toolbox((ToolReference("send", f"{MAIL}/", f"{MAIL}/", "send"),), {"send": True})
    assert definition.skills == (Skill("report", "How to write a report", "skills/report"),)
    skill = Skill("report", "How to write a report", "subagents/my clerk/skills/report")
    assert definition.subagents == (Subagent("my clerk", "You file.\n", "files", "openai:x", Toolbox(), (skill,)),)
    assert set(definition.files) == {
        "skills/report/SKILL.md",
        "skills/report/example.txt",
        "subagents/my clerk/skills/report/SKILL.md",
        "docs/rules.md",
        "agent.json",
    }
    assert (definition.model, definition.memory, definition.backend) == ("demo:chat", "agent", "state")


@pytest.mark.parametrize(
    "text", ["You file.", "---\n---\n\nYou file.", "---\r\n---\r\nYou file.", "\ufeff---\n---\nYou file."]
)
def test_frontmatter_may_be_absent_or_empty(text: str) -> None:
    [subagent] = parse_tree({"subagents/clerk/AGENTS.md": text}).subagents
    assert subagent.instructions == "You file."
    assert subagent.model is None


def test_the_same_tool_twice_is_one() -> None:
    tools = json.loads(toolbox("send", "send"))
    tools["tools"][1]["mcp_server_url"] = MAIL.upper() + "/"
    assert len(parse_tree({"tools.json": json.dumps(tools)}).toolbox.tools) == 1


def test_the_digest_tells_definitions_apart() -> None:
    files = {"AGENTS.md": "a", "docs/b.md": "b"}
    digest = parse_tree(files).digest()
    assert digest == parse_tree(dict(reversed(files.items()))).digest()
    assert len(digest) == 64
    different = [
        parse_tree(files, model="demo:chat"),
        parse_tree({**files, "docs/b.md": "c"}),
        parse_tree({"AGENTS.md": "a"}),
    ]
    assert len({digest, *(each.digest() for each in different)}) == 4


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("tools.json", "{", "correct 'tools.json': Invalid JSON"),
        ("tools.json", "[]", "correct 'tools.json'"),
        ("tools.json", '{"tools": {}}', "correct 'tools.json': tools:"),
        ("tools.json", '{"tools": [{"name": "x"}]}', "tools.0.mcp_server_url"),
        ("tools.json", '{"interrupt_config": {"x": 1}}', "use true or false for 'x'"),
        ("skills/x/SKILL.md", "No fence", "add a 'name' to the frontmatter of 'skills/x/SKILL.md'"),
        (
            "subagents/y/skills/x/SKILL.md",
            "---\nname: x\n---\n",
            "correct 'subagents/y/skills/x/SKILL.md': description",
        ),
        ("memories/AGENTS.md", "", "memories/ belongs to the running agent"),
        ("docs/../x", "", "none of its segments may be empty"),
    ],
)
def test_what_cannot_be_stored_is_not_compiled_either(path: str, text: str, said: str) -> None:
    with pytest.raises(InvalidAgent) as caught:
        parse_tree({"subagents/y/AGENTS.md": "", path: text})
    assert said in caught.value.message


def test_what_means_nothing_to_the_server_is_a_file() -> None:
    files = {"skills": "a", "subagents/x/tools.json": "{}", "docs/b.md": "b"}
    definition = parse_tree(files)
    assert (definition.subagents, definition.skills, definition.files) == ((), (), files)
    tools = {"tools": [{"name": "n", "mcp_server_url": MAIL, "icon": "x"}], "version": 2}
    assert len(parse_tree({"tools.json": json.dumps(tools)}).toolbox.tools) == 1
    [subagent] = parse_tree({"subagents/x/AGENTS.md": "---\ncolor: red\n---\nHi."}).subagents
    assert subagent.instructions == "Hi."
