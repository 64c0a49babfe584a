"""What an agent is, as its files say it: plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field, to_builtins

__all__ = ["AgentDefinition", "Skill", "Subagent", "ToolReference", "Toolbox"]


class ToolReference(Struct, frozen=True):
    """A tool of an MCP server, as ``tools.json`` names it."""

    name: str
    """As the server calls it."""
    server_url: str
    """As the agent names it: spellings of one URL are told by `waystation.deepagents.urls.url_key`."""
    server_name: str
    """The URL if nothing else is given."""
    display_name: str
    """The name if nothing else is given."""


class Toolbox(Struct, frozen=True):
    """A ``tools.json``: the tools that an agent may use, and which of them a person approves."""

    tools: tuple[ToolReference, ...] = ()
    interrupt_config: Mapping[str, bool] = field(default_factory=dict)
    """By ``{server URL}::{tool}`` or tool name; `gates` says how they are matched."""


class Skill(Struct, frozen=True):
    """A directory with a ``SKILL.md``, which the model reads when it needs it."""

    name: str
    description: str
    directory: str
    """In the tree, such as ``skills/report``."""


class Subagent(Struct, frozen=True):
    """An agent that the main one delegates tasks to."""

    name: str
    instructions: str = ""
    description: str = ""
    model: str | None = None
    """None for the main agent's."""
    toolbox: Toolbox = Toolbox()
    skills: tuple[Skill, ...] = ()


class AgentDefinition(Struct, frozen=True):
    """One revision of an agent."""

    instructions: str = ""
    model: str | None = None
    """``provider:model``, the name of a model configuration of the server, or None for the server's default."""
    toolbox: Toolbox = Toolbox()
    skills: tuple[Skill, ...] = ()
    subagents: tuple[Subagent, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """What the agent can read, by path in the tree: the files of skills, and all that mean nothing to the server."""
    backend: Literal["state", "sandbox"] = "state"
    """Where the agent's own files are: in the state of the thread, or in a sandbox, which also runs commands."""
    memory: Literal["user", "agent"] = "user"
    """Whether each user of the agent has a memory directory of their own, or all share one."""

    def digest(self) -> str:
        """64 hexadecimal digits that differ between definitions that differ."""
        canonical = json.dumps(to_builtins(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
