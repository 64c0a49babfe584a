"""Wire shapes of the typed fields that stand for files (MDA 7)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from waystation.deepagents.bodies import Filled, filled, rule
from waystation.deepagents.errors import InvalidAgent
from waystation.http.bodies import Body, describe

__all__ = [
    "FileEntry",
    "FileMap",
    "OptionalFileMap",
    "Skill",
    "Subagent",
    "Tools",
    "tools_of",
]

_SLUG = re.compile(r"[\w-](?:[\w -]{0,98}[\w-])?")


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(filled(text)):
        raise rule("use up to 100 letters, digits, spaces, underscores and hyphens, with no space at either end")
    return text


def _url(text: str) -> str:
    if not re.match(r"https?://[^\s/]", filled(text).strip(), re.IGNORECASE):
        raise rule("give a URL that begins with https:// or http://")
    return text.strip()


def _flags(value: Any) -> Any:
    if isinstance(value, dict) and (wrong := [key for key, flag in value.items() if not isinstance(flag, bool)]):
        raise rule(f"use true or false for {wrong[0]!r}")
    return value


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
        """What is known of it, with the names that are left out filled in (MDA 7.1)."""
        found = self.model_dump(exclude_none=True, include=_KNOWN)
        for tool in found["tools"]:
            tool["mcp_server_name"] = tool.get("mcp_server_name") or tool["mcp_server_url"]
            tool["display_name"] = tool.get("display_name") or tool["name"]
        return found


_KNOWN: Any = {"interrupt_config": True, "tools": {"__all__": set(Tool.model_fields)}}


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


def tools_of(text: str, path: str) -> dict[str, Any]:
    """The content of a ``tools.json`` at `path`. Raises InvalidAgent."""
    try:
        return Tools.model_validate_json(text).plain()
    except ValidationError as error:
        raise InvalidAgent(f"correct {path!r}: {describe(error)}") from None
