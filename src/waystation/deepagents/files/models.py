"""Wire shapes of the typed fields that stand for files (MDA 7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from waystation.deepagents.errors import InvalidAgent, InvalidBody, MissingField
from waystation.http.bodies import Body, describe

__all__ = [
    "FileEntry",
    "FileMap",
    "Filled",
    "OptionalFileMap",
    "Skill",
    "Subagent",
    "Tools",
    "refuse",
    "rule",
    "tools_of",
]

_SLUG = re.compile(r"[\w-](?:[\w -]{0,98}[\w-])?")

RULE = "rule"
BLANK = "blank"


def rule(message: str) -> PydanticCustomError:
    """The error of a value that has the right form and breaks a rule: 422 rather than 400."""
    return PydanticCustomError(RULE, "{message}", {"message": message})


def _filled(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError(BLANK, "is required")
    return text


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(_filled(text)):
        raise rule("use up to 100 letters, digits, spaces, underscores and hyphens, with no space at either end")
    return text


def _url(text: str) -> str:
    if not re.match(r"https?://[^\s/]", _filled(text).strip()):
        raise rule("give a URL that begins with https:// or http://")
    return text.strip()


def _flags(value: Any) -> Any:
    if isinstance(value, dict) and (wrong := [key for key, flag in value.items() if not isinstance(flag, bool)]):
        raise rule(f"use true or false for {wrong[0]!r}")
    return value


Filled = Annotated[str, AfterValidator(_filled)]
"""Not blank; a blank one counts as absent."""

Slug = Annotated[str, AfterValidator(_slug)]


class Tool(Body):
    """A tool of an MCP server that the agent may use."""

    name: Filled
    mcp_server_url: Annotated[str, AfterValidator(_url)]
    mcp_server_name: str | None = None
    display_name: str | None = None


class Tools(Body):
    """``tools.json``."""

    tools: list[Tool] = Field(default_factory=list)
    interrupt_config: Annotated[dict[str, bool] | None, BeforeValidator(_flags)] = None

    def plain(self) -> dict[str, Any]:
        """With the names that are left out filled in (MDA 7.1)."""
        found = self.model_dump(exclude_none=True)
        for tool in found["tools"]:
            tool["mcp_server_name"] = tool.get("mcp_server_name") or tool["mcp_server_url"]
            tool["display_name"] = tool.get("display_name") or tool["name"]
        return found


class Subagent(Body):
    name: Slug
    description: str | None = None
    model_id: str | None = None
    instructions: str | None = None
    tools: Tools | None = None


class Skill(Body):
    type: Literal["inline"] | None = None
    name: Slug
    description: Filled
    instructions: str | None = None
    files: dict[str, str] = Field(default_factory=dict)


class FileEntry(Body):
    """A file, or a link to a skill repository, which this server does not have."""

    type: Literal["file", "skill"] | None = None
    content: str | None = None
    repo_handle: str | None = None
    commit_id: str | None = None


def _entry(value: Any) -> Any:
    return {"content": value} if isinstance(value, str) else value


FileMap = dict[str, Annotated[FileEntry, BeforeValidator(_entry)]]

OptionalFileMap = dict[str, Annotated[FileEntry | None, BeforeValidator(_entry)]]


def refuse(error: ValidationError) -> NoReturn:
    """Raise what `error` means (MDA 3): MissingField, InvalidBody or, if only rules are broken, InvalidAgent."""
    items = error.errors(include_url=False, include_input=False)
    for item in items:
        if item["type"] in ("missing", BLANK):
            raise MissingField(_path(item["loc"]))
    for item in items:
        if item["type"] not in (RULE, "literal_error"):
            raise InvalidBody(f"send a JSON object of the documented form: {_path(item['loc'])}: {item['msg']}")
    first = items[0]
    raise InvalidAgent(f"correct {_path(first['loc'])!r}: {first['msg'][:1].lower()}{first['msg'][1:]}")


def _path(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "body"


def tools_of(text: str, path: str) -> dict[str, Any]:
    """The content of a ``tools.json`` at `path`. Raises InvalidAgent."""
    try:
        return Tools.model_validate_json(text).plain()
    except ValidationError as error:
        raise InvalidAgent(f"correct {path!r}: {describe(error)}") from None
