"""What the files of an agent say: the typed fields, read from the tree (MDA 7)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from waystation.deepagents.errors import InvalidAgent
from waystation.deepagents.files import frontmatter
from waystation.deepagents.files.models import Skill, Subagent, tools_of
from waystation.deepagents.files.tree import Files, check_free
from waystation.http.bodies import describe

__all__ = ["PROMPT", "SKILL", "SKILLS", "SUBAGENTS", "TOOLS", "Definition", "definition_of", "folders", "skills_in"]

PROMPT = "AGENTS.md"
TOOLS = "tools.json"
SKILLS = "skills"
SUBAGENTS = "subagents"
SKILL = "SKILL.md"


class Definition(Struct, frozen=True):
    """The typed fields, as the API shows them."""

    system_prompt: str | None
    tools: dict[str, Any] | None
    """``tools`` and perhaps ``interrupt_config``."""
    subagents: list[dict[str, Any]]
    skills: list[dict[str, Any]]


def definition_of(files: Files) -> Definition:
    """Read the whole tree. Raises InvalidAgent, naming the file, for one that is not what its path says."""
    for path in files:
        check_free(path)
    names = _named(files, SUBAGENTS, PROMPT)
    if len({name.casefold() for name in names}) < len(names):
        raise InvalidAgent("rename one of the subagents: two of them have the same name but for upper and lower case")
    return Definition(
        files.get(PROMPT),
        tools_of(files[TOOLS], TOOLS) if TOOLS in files else None,
        [_subagent(files, name) for name in names],
        skills_in(files),
    )


def skills_in(files: Files, subagent: str | None = None) -> list[dict[str, Any]]:
    """The skills of the agent, or those of a `subagent`, which are no typed field. Raises InvalidAgent."""
    above = SKILLS if subagent is None else f"{SUBAGENTS}/{subagent}/{SKILLS}"
    return [_skill(files, above, name) for name in _named(files, above, SKILL)]


def folders(files: Files, above: str) -> dict[str, list[str]]:
    """The paths below each folder of `above`, by the folder's name."""
    found: dict[str, list[str]] = {}
    for path in sorted(files):
        name, below, _ = path.removeprefix(f"{above}/").partition("/")
        if path.startswith(f"{above}/") and below:
            found.setdefault(name, []).append(path)
    return found


def _named(files: Files, above: str, by: str) -> list[str]:
    return [name for name, paths in folders(files, above).items() if f"{above}/{name}/{by}" in paths]


def _subagent(files: Files, name: str) -> dict[str, Any]:
    folder = f"{SUBAGENTS}/{name}"
    path = f"{folder}/{PROMPT}"
    fields, body = frontmatter.read(files[path].removeprefix("\ufeff"), path)
    if fields.get("name", name) != name:
        raise InvalidAgent(f"leave 'name' out of the frontmatter of {path!r}: the directory says {name!r}")
    found: dict[str, Any] = {"name": name, **_chosen(fields, "description", "model_id"), "instructions": body}
    _check(Subagent, found, path)
    skills_in(files, name)
    if (tools := f"{folder}/{TOOLS}") in files:
        found["tools"] = tools_of(files[tools], tools)
    return found


def _skill(files: Files, above: str, name: str) -> dict[str, Any]:
    folder = f"{above}/{name}/"
    path = folder + SKILL
    fields, body = frontmatter.read(files[path], path)
    if not fields.get("name", "").strip():
        raise InvalidAgent(f"add a 'name' to the frontmatter of {path!r}: a skill needs one")
    frontmatter.require_readable(files[path], path)
    found: dict[str, Any] = {
        "type": "inline",
        "name": name,
        **_chosen(fields, "description"),
        "instructions": body,
    }
    _check(Skill, found, path)
    others = {key.removeprefix(folder): files[key] for key in sorted(files) if key.startswith(folder) and key != path}
    return {**found, "files": others} if others else found


def _chosen(fields: dict[str, str], *names: str) -> dict[str, str]:
    return {name: fields[name] for name in names if name in fields}


def _check(model: type[Subagent] | type[Skill], found: dict[str, Any], path: str) -> None:
    try:
        model.model_validate(found)
    except ValidationError as error:
        raise InvalidAgent(f"correct {path!r}: {describe(error)}") from None
