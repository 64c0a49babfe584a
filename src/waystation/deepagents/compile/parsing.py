"""From an agent's file tree to its definition (MDA 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from waystation.deepagents.compile.definition import AgentDefinition, Skill, Subagent, Toolbox, ToolReference
from waystation.deepagents.files.definition import PROMPT, SKILLS, SUBAGENTS, TOOLS, definition_of, skills_in
from waystation.deepagents.files.tree import Files, check_path
from waystation.deepagents.urls import url_key

__all__ = ["parse_tree"]


def parse_tree(
    files: Files,
    *,
    model: str | None = None,
    backend: Literal["state", "sandbox"] = "state",
    memory: Literal["user", "agent"] = "user",
) -> AgentDefinition:
    """The definition in the tree `files`: text by relative path. What is not in the tree comes as arguments.

    Raises InvalidAgent, naming the file, for a tree that could not be stored.
    """
    for path in files:
        check_path(path, "the tree")
    found = definition_of(files)
    own = {PROMPT, TOOLS}
    own |= {f"{SUBAGENTS}/{each['name']}/{file}" for each in found.subagents for file in (PROMPT, TOOLS)}
    return AgentDefinition(
        instructions=found.system_prompt or "",
        model=model or None,
        toolbox=_toolbox(found.tools),
        skills=_skills(files),
        subagents=tuple(_subagent(files, each) for each in found.subagents),
        files={path: text for path, text in files.items() if path not in own},
        backend=backend,
        memory=memory,
    )


def _subagent(files: Files, found: Mapping[str, Any]) -> Subagent:
    name: str = found["name"]
    return Subagent(
        name,
        found["instructions"],
        found.get("description", "").strip(),
        found.get("model_id", "").strip() or None,
        _toolbox(found.get("tools")),
        _skills(files, name),
    )


def _skills(files: Files, subagent: str | None = None) -> tuple[Skill, ...]:
    above = SKILLS if subagent is None else f"{SUBAGENTS}/{subagent}/{SKILLS}"
    return tuple(
        Skill(each["name"], each["description"].strip(), f"{above}/{each['name']}")
        for each in skills_in(files, subagent)
    )


def _toolbox(found: Mapping[str, Any] | None) -> Toolbox:
    if found is None:
        return Toolbox()
    tools = [
        ToolReference(each["name"], each["mcp_server_url"], each["mcp_server_name"], each["display_name"])
        for each in found["tools"]
    ]
    unique = {(url_key(tool.server_url), tool.name): tool for tool in tools}
    return Toolbox(tuple(unique.values()), found.get("interrupt_config", {}))
