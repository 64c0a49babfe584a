"""The tree of files, and the typed fields that stand for some of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from managed_deepagents import AsyncClient

from tests.conftest import connected, served
from tests.deepagents.conftest import BASE, EVERYTHING, URL
from waystation.deepagents.compile import parse_tree
from waystation.deepagents.files.tree import RESERVED

SKILL = "---\nname: x\ndescription: what it does\nallowed-tools:\n  - a\n---\n\nDo it."


def contents(agent: dict[str, Any]) -> dict[str, str]:
    return {path: entry["content"] for path, entry in agent["files"].items()}


async def test_what_is_written_as_files_is_read_as_fields(client: AsyncClient) -> None:
    files = {
        "AGENTS.md": "Be brief.",
        "tools.json": json.dumps({"tools": [{"name": "t", "mcp_server_url": URL}], "interrupt_config": {"t": True}}),
        "skills/x/SKILL.md": SKILL,
        "skills/x/data.csv": "1,2",
        "subagents/y/AGENTS.md": "---\n---\nNo frontmatter to speak of.",
        "subagents/z z/AGENTS.md": "None at all.",
    }
    made = await client.agents.create(name="a", files=files, include_files=True)
    assert contents(made) == files
    assert made["system_prompt"] == made["instructions"] == "Be brief."
    assert made["tools"]["interrupt_config"] == {"t": True}
    assert made["tools"]["tools"][0]["display_name"] == "t"
    assert made["skills"] == [
        {
            "type": "inline",
            "name": "x",
            "description": "what it does",
            "instructions": "Do it.",
            "files": {"data.csv": "1,2"},
        }
    ]
    assert made["subagents"] == [
        {"name": "y", "instructions": "No frontmatter to speak of."},
        {"name": "z z", "instructions": "None at all."},
    ]


async def test_fields_that_were_read_can_be_written_again(client: AsyncClient) -> None:
    made = await client.agents.create(name="a", **EVERYTHING)
    fields = {field: made[field] for field in ("system_prompt", "tools", "subagents", "skills")}
    again = await client.agents.update(made["id"], **fields)
    assert again["revision"] == made["revision"]


@pytest.mark.parametrize("text", ["", "\n", "---", "---\na: 1\n---\n\nb", " x \n\n", "é\u2028\U0001f600"])
async def test_instructions_come_back_exactly(client: AsyncClient, text: str) -> None:
    said = {"description": f"d: {text!r} # {text.strip() or 'x'}", "instructions": text}
    made = await client.agents.create(
        name="a", skills=[{"name": "s", **said}], subagents=[{"name": "s", **said}], system_prompt=text
    )
    for field in ("skills", "subagents"):
        assert {key: made[field][0][key] for key in said} == said
    assert made["system_prompt"] == text


async def test_files_are_merged_by_path(client: AsyncClient) -> None:
    made = await client.agents.create(name="a", files={"one": "1", "two": "2", "d/three": "3"})
    changed = await client.agents.update(
        made["id"], files={"two": "zwei", "four": "4"}, deleted_paths=["one", "never/there"], include_files=True
    )
    assert contents(changed) == {"two": "zwei", "d/three": "3", "four": "4"}
    back = await client.agents.update(made["id"], files={"one": "1", "two": "2"}, deleted_paths=["four"])
    assert back["revision"] == made["revision"]


async def test_replacing_subagents_and_skills(client: AsyncClient) -> None:
    tools: dict[str, Any] = {"tools": []}
    made = await client.agents.create(
        name="a",
        subagents=[{"name": "stays", "tools": tools}, {"name": "goes", "tools": tools}],
        skills=[{"name": "goes", "description": "d", "files": {"a.txt": "a"}}],
        files={"subagents/stays/skills/k.md": "k", "subagents/goes/skills/k.md": "k", "subagents/free.md": "f"},
    )
    changed = await client.agents.update(
        made["id"],
        subagents=[{"name": "stays", "instructions": "new"}],
        skills=[{"name": "comes", "description": "d"}],
        files={"skills/raw/SKILL.md": SKILL},
        include_files=True,
    )
    assert set(changed["files"]) == {
        "subagents/stays/AGENTS.md",
        "subagents/stays/skills/k.md",
        "subagents/free.md",
        "skills/comes/SKILL.md",
        "skills/raw/SKILL.md",
    }
    assert [skill["name"] for skill in changed["skills"]] == ["comes", "raw"]
    emptied = await client.agents.update(made["id"], subagents=[], skills=[], include_files=True)
    assert set(emptied["files"]) == {"subagents/free.md"}


REFUSED: list[dict[str, Any]] = [
    *(
        {"files": {path: "x"}}
        for path in ("/x", "../x", "a/../x", "a//b", "./a", "a/.", "a\\b", "a\0b", "", "a/", "x" * 513)
    ),
    {"deleted_paths": ["../x"]},
    {"skills": [{"name": "s", "description": "d", "files": {"../x": "x"}}]},
    {"skills": [{"name": "s", "description": "d", "files": {"SKILL.md": "x"}}]},
    {"system_prompt": "x", "files": {"AGENTS.md": "x"}},
    {"instructions": "x", "files": {"AGENTS.md": "x"}},
    {"tools": {"tools": []}, "files": {"tools.json": "{}"}},
    {"tools": {"tools": []}, "deleted_paths": ["tools.json"]},
    {"skills": [{"name": "x", "description": "d"}], "files": {"skills/x/SKILL.md": SKILL}},
    {"subagents": [{"name": "x"}], "files": {"subagents/x/AGENTS.md": "x"}},
    {"files": {"a": "x"}, "deleted_paths": ["a"]},
    {"files": {"a": "x", "a/b": "x"}},
    {"files": {"big": "x" * (1024 * 1024 + 1)}},
    {"files": {f"f{number}": "x" for number in range(1_001)}},
    {"files": {f"f{number}": "x" * 1024 * 1024 for number in range(9)}},
    {"files": {"tools.json": "not json"}},
    {"files": {"tools.json": '{"tools": [{"name": "t"}]}'}},
    {"files": {"tools.json": '{"interrupt_config": {"t": "yes"}}'}},
    {"files": {"skills/x/SKILL.md": "no frontmatter"}},
    {"files": {"skills/x/SKILL.md": "---\nname: x\n---\n"}},
    {"files": {"skills/x/SKILL.md": "---\nname: [\n---\n"}},
    {"files": {"skills/x/SKILL.md": "---\nname: x\ndescription: never closed\n"}},
    {"files": {"skills/x/SKILL.md": "---\nd: " + "[" * 5_000 + "\n---\n"}},
    {"files": {"skills/x/SKILL.md": "---\nd: " + "x" * 17_000 + "\n---\n"}},
    {"files": {"skills/x/SKILL.md": "---\nname: x\ndescription: d\n---"}},
    {"files": {"skills/x/SKILL.md": "---\nname: x\ndescription: d\nsince: 2024-13-13\n---\n"}},
    {"files": {"skills/x!/SKILL.md": SKILL}},
    {"files": {"subagents/y/AGENTS.md": "y", "subagents/y/skills/x/SKILL.md": "no frontmatter"}},
    {"files": {"subagents/y/AGENTS.md": "---\nname: z\n---\n"}},
    {"files": {"subagents/y/AGENTS.md": "---\nmodel_id: gpt-5\n---\n"}},
    *({"files": {f"{directory}/x": "x"}} for directory in RESERVED),
    {"subagents": [{"name": "y", "model_id": "gpt-5"}]},
    {"runtime": {"model": {"model_id": "gpt-5"}}},
    {"model": "openai:"},
    {"files": {"skills/x": {"type": "skill", "repo_handle": "r"}}},
    {"files": {"a": {}}},
    {"files": {"a": {"content": "x", "repo_handle": "r"}}},
    {"files": {"subagents/x/AGENTS.md": "x", "subagents/X/AGENTS.md": "x"}},
    {"subagents": [{"name": "x"}, {"name": "X"}]},
    {"skills": [{"name": "x", "description": "d"}] * 2},
    {"skills": [{"name": "a/b", "description": "d"}]},
    {"skills": [{"type": "linked", "name": "a", "description": "d"}]},
    {"tools": {"interrupt_config": {"t": 1}}},
    {"tools": {"tools": [{"name": "t", "mcp_server_url": "ftp://x"}]}},
    {"backend": {"type": "elsewhere"}},
    {"backend": {"type": "state", "sandbox_config": {"scope": "thread"}}},
    {"backend": {"type": "sandbox", "sandbox_config": {"idle_ttl_seconds": True}}},
    {"backend": {"type": "sandbox", "sandbox_config": {"idle_ttl_seconds": 1.5}}},
    {"permissions": {"visibility": "everybody"}},
    {"name": "x" * 257},
]


async def test_what_breaks_a_rule_changes_nothing(client: AsyncClient, http: httpx.AsyncClient) -> None:
    made = await client.agents.create(name="a", **EVERYTHING, include_files=True)
    for body in REFUSED:
        refused = await http.patch(f"{BASE}/agents/{made['id']}", json={"description": "changed", **body})
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_error"), str(body)[:200]
        if "deleted_paths" not in body:
            refused = await http.post(f"{BASE}/agents", json={"name": "new", **body})
            assert refused.status_code == 422, str(body)[:200]
    assert await client.agents.get(made["id"], include_files=True) == made
    assert len((await client.agents.list())["items"]) == 1


async def test_what_is_stored_compiles(client: AsyncClient) -> None:
    """With what this server does not know left alone."""
    tools = {"tools": [{"name": "t", "mcp_server_url": URL, "icon": "x"}], "version": 2}
    files = {
        "tools.json": json.dumps(tools),
        "skills/x/SKILL.md": SKILL,
        "skills/README.md": "none",
        "skills/half/notes.md": "no skill yet",
        "subagents/y/AGENTS.md": "\ufeff---\ncolor: red\nmodel_id: demo:chat\n---\nHi.",
        "subagents/y/skills/x/SKILL.md": SKILL,
        "subagents/half/tools.json": "{}",
    }
    made = await client.agents.create(name="a", files=files, include_files=True)

    assert contents(made) == files
    definition = parse_tree(contents(made))
    assert [skill.name for skill in definition.skills] == [skill["name"] for skill in made["skills"]] == ["x"]
    [subagent], [shown] = definition.subagents, made["subagents"]
    assert (subagent.instructions, subagent.model) == (shown["instructions"], shown["model_id"]) == ("Hi.", "demo:chat")
    assert [skill.directory for skill in subagent.skills] == ["subagents/y/skills/x"]


async def test_models_of_the_servers_configuration(tmp_path: Path) -> None:
    """One that is taken away does not keep an agent that names it from being changed."""
    subagents = [{"name": "s", "model_id": "fast"}]
    async with served(tmp_path, models={"fast": {"model": "demo:chat"}}) as app, connected(app) as http:
        made = await http.post(f"{BASE}/agents", json={"name": "a", "model": "fast", "subagents": subagents})
        assert made.status_code == 201
        path = f"{BASE}/agents/{made.json()['id']}"
    async with served(tmp_path) as app, connected(app) as http:
        assert (await http.patch(path, json={"system_prompt": "new"})).status_code == 200
        refused = await http.patch(path, json={"subagents": [{"name": "s", "model_id": "slow"}]})
        assert (refused.status_code, "WAYSTATION_MODELS" in refused.json()["detail"]) == (422, True)
