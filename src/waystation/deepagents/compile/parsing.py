"""From an agent's file tree to its definition (managed-deep-agents.md 7)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from waystation.deepagents.compile.definition import AgentDefinition, Skill, Subagent, Toolbox
from waystation.deepagents.compile.frontmatter import split_frontmatter
from waystation.deepagents.compile.toolbox import parse_toolbox
from waystation.errors import UnprocessableInput

__all__ = ["parse_tree"]

PROMPT = "AGENTS.md"
TOOLS = "tools.json"
SKILL = "SKILL.md"

RESERVED = ("memories", "large_tool_results", "conversation_history")
"""Directories that belong to the running agent: its memory, and what the library puts aside."""

_SLUG = re.compile(r"[A-Za-z0-9 _-]*[A-Za-z0-9_-][A-Za-z0-9 _-]*")


def parse_tree(
    files: Mapping[str, str],
    *,
    model: str | None = None,
    backend: Literal["state", "sandbox"] = "state",
    memory: Literal["user", "agent"] = "user",
) -> AgentDefinition:
    """The definition in the tree `files`: text by relative path. What is not in the tree comes as arguments.

    Raises UnprocessableInput that names the file, the key and the cause.
    """
    for path in files:
        _check_path(path)
    skills = _skills(files, "skills")
    subagents = _subagents(files)
    own = {PROMPT, TOOLS} | {f"subagents/{each.name}/{file}" for each in subagents for file in (PROMPT, TOOLS)}
    return AgentDefinition(
        instructions=files.get(PROMPT, ""),
        model=model or None,
        toolbox=_toolbox(files, TOOLS),
        skills=skills,
        subagents=subagents,
        files={path: text for path, text in files.items() if path not in own},
        backend=backend,
        memory=memory,
    )


def _check_path(path: str) -> None:
    parts = path.split("/")
    if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise UnprocessableInput(
            f"{path!r}: a path is relative, of names with single slashes in between, without . and .. and backslashes."
        )
    if parts[0] in RESERVED:
        raise UnprocessableInput(
            f"{path}: {parts[0]}/ belongs to the running agent and cannot be part of a definition."
        )


def _toolbox(files: Mapping[str, str], path: str) -> Toolbox:
    return parse_toolbox(path, files[path]) if path in files else Toolbox()


def _skills(files: Mapping[str, str], directory: str) -> tuple[Skill, ...]:
    return tuple(
        _skill(files, f"{directory}/{name}", paths) for name, paths in _directories(files, directory, "skill").items()
    )


def _skill(files: Mapping[str, str], directory: str, paths: frozenset[str]) -> Skill:
    path = f"{directory}/{SKILL}"
    if SKILL not in paths:
        raise UnprocessableInput(f"{directory}: a skill needs a {SKILL}.")
    values, _ = split_frontmatter(path, files[path])
    if values is None:
        raise UnprocessableInput(f"{path}: must begin with frontmatter: name and description between --- lines.")
    return Skill(_needed(path, values, "name"), _needed(path, values, "description"), directory)


def _needed(path: str, values: Mapping[str, Any], key: str) -> str:
    text = _optional(path, values, key)
    if text is None:
        raise UnprocessableInput(f"{path}: {key}: the frontmatter needs one, not empty.")
    return text


def _optional(path: str, values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise UnprocessableInput(f"{path}: {key}: must be text; put it into quotes.")
    return (value or "").strip() or None


def _subagents(files: Mapping[str, str]) -> tuple[Subagent, ...]:
    found: dict[str, Subagent] = {}
    for name, paths in _directories(files, "subagents", "subagent").items():
        if name.lower() in found:
            other = found[name.lower()].name
            raise UnprocessableInput(f"subagents/{name}: differs from subagents/{other} in capitals only.")
        found[name.lower()] = _subagent(files, name, paths)
    return tuple(found.values())


def _subagent(files: Mapping[str, str], name: str, paths: frozenset[str]) -> Subagent:
    directory = f"subagents/{name}"
    path = f"{directory}/{PROMPT}"
    if PROMPT not in paths:
        raise UnprocessableInput(f"{directory}: a subagent needs an {PROMPT}.")
    values, instructions = split_frontmatter(path, files[path])
    unknown = sorted((values or {}).keys() - {"name", "description", "model_id"})
    if unknown:
        raise UnprocessableInput(f"{path}: {unknown[0]}: there is no such key; known are description and model_id.")
    stated = _optional(path, values or {}, "name")
    if stated not in (None, name):
        raise UnprocessableInput(f"{path}: name: is {stated!r}, but the directory says {name!r}.")
    return Subagent(
        name,
        instructions,
        _optional(path, values or {}, "description") or "",
        _optional(path, values or {}, "model_id"),
        _toolbox(files, f"{directory}/{TOOLS}"),
        _skills(files, f"{directory}/skills"),
    )


def _directories(files: Iterable[str], parent: str, kind: str) -> dict[str, frozenset[str]]:
    """The directories in `parent` and the paths within each, both sorted."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in files:
        if path == parent:
            raise UnprocessableInput(f"{path}: is a file, but must be a directory of {kind}s.")
        if not path.startswith(f"{parent}/"):
            continue
        name, _, rest = path.removeprefix(f"{parent}/").partition("/")
        if not rest:
            raise UnprocessableInput(f"{path}: a {kind} is a directory; this server has no links to repositories.")
        if not _SLUG.fullmatch(name):
            raise UnprocessableInput(f"{parent}/{name}: a {kind}'s name has letters, digits, spaces, _ and - only.")
        found[name].add(rest)
    return {name: frozenset(found[name]) for name in sorted(found)}
