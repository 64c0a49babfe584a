"""Definitions from file trees, and what is said about trees that make none."""

from __future__ import annotations

import json

import pytest

from tests.deepagents.compile.given import MAIL, SKILL, toolbox
from waystation.deepagents.compile import Skill, Subagent, Toolbox, ToolReference, parse_tree
from waystation.errors import UnprocessableInput


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
    assert definition.toolbox == Toolbox((ToolReference("send", MAIL, MAIL, "send"),), {"send": True})
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
        ("tools.json", "{", "tools.json, line 1, column 2: not JSON"),
        ("tools.json", "[]", "tools.json: must hold an object"),
        ("tools.json", '{"tool": []}', "tools.json: tool: there is no such key; known are interrupt_config, tools"),
        ("tools.json", '{"tools": {}}', "tools.json: tools: must be an array"),
        ("tools.json", '{"tools": ["x"]}', "tools.json: tools[0]: must be an object"),
        ("tools.json", '{"tools": [{"name": "x"}]}', "tools.json: tools[0]: mcp_server_url: must be a non-empty"),
        ("tools.json", '{"tools": [{"name": 1}]}', "tools.json: tools[0]: name: must be a string"),
        ("tools.json", '{"tools": [{"name": "x", "url": "y"}]}', "tools.json: tools[0]: url: there is no such key"),
        ("tools.json", '{"interrupt_config": []}', "tools.json: interrupt_config: must be an object"),
        ("tools.json", '{"interrupt_config": {"x": 1}}', "tools.json: interrupt_config['x']: must be true or false"),
        ("skills/x/SKILL.md", "No fence", "skills/x/SKILL.md: must begin with frontmatter"),
        ("skills/x/SKILL.md", "---\nname: x\n", "no line --- ends it"),
        ("skills/x/SKILL.md", "---\nname: [\n---\n", "skills/x/SKILL.md, line 3: the frontmatter is not YAML"),
        ("skills/x/SKILL.md", "---\n- a\n---\n", "must hold `key: value` lines"),
        ("skills/x/SKILL.md", "---\nname: x\n---\n", "skills/x/SKILL.md: description: the frontmatter needs one"),
        ("skills/x/SKILL.md", "---\nname: 1\ndescription: d\n---\n", "skills/x/SKILL.md: name: must be text"),
        ("skills/x/more.md", "", "skills/x: a skill needs a SKILL.md"),
        ("skills/x!/SKILL.md", SKILL, "skills/x!: a skill's name has letters"),
        ("skills/ /SKILL.md", SKILL, "skills/ : a skill's name has letters"),
        ("skills/x", "", "skills/x: a skill is a directory"),
        ("skills", "", "skills: is a file"),
        ("subagents/x/tools.json", "{}", "subagents/x: a subagent needs an AGENTS.md"),
        ("subagents/x/AGENTS.md", "---\nmodel: y\n---\n", "subagents/x/AGENTS.md: model: there is no such key"),
        ("subagents/x/AGENTS.md", "---\nname: y\n---\n", "subagents/x/AGENTS.md: name: is 'y'"),
        ("memories/AGENTS.md", "", "memories/AGENTS.md: memories/ belongs to the running agent"),
        ("/AGENTS.md", "", "a path is relative"),
        ("docs/../x", "", "a path is relative"),
        ("docs\\x", "", "a path is relative"),
    ],
)
def test_what_is_wrong_with_a_tree(path: str, text: str, said: str) -> None:
    with pytest.raises(UnprocessableInput) as caught:
        parse_tree({path: text})
    assert said in caught.value.message


def test_subagents_that_differ_in_capitals_only() -> None:
    with pytest.raises(UnprocessableInput, match=r"subagents/clerk: differs from subagents/Clerk in capitals"):
        parse_tree({"subagents/Clerk/AGENTS.md": "", "subagents/clerk/AGENTS.md": ""})
