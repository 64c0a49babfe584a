"""Which tools a person approves: matching ``interrupt_config`` (managed-deep-agents.md 7.2)."""

from __future__ import annotations

from collections.abc import Mapping

from waystation.deepagents.compile.definition import ToolReference
from waystation.deepagents.urls import url_key

__all__ = ["BUILT_IN", "gated", "gated_built_ins"]

BUILT_IN = frozenset({"ls", "read_file", "write_file", "edit_file", "delete", "glob", "grep", "task", "execute"})
"""Tools of every deep agent."""

_SEPARATOR = "::"


def gated(tool: ToolReference, config: Mapping[str, bool]) -> bool:
    """Whether calls of `tool` wait for a person. A key with the server's URL beats the bare name of the tool."""
    exact = [value for key, value in config.items() if _names(key, tool)]
    return any(exact) if exact else config.get(tool.name, False)


def gated_built_ins(config: Mapping[str, bool]) -> list[str]:
    """The built-in tools whose bare names `config` gates."""
    return [key for key, value in config.items() if value and key in BUILT_IN]


def _names(key: str, tool: ToolReference) -> bool:
    """Whether `key` is ``url::tool``, with or without further parts, or ``url::server name::tool``.

    Every ``::`` is tried as the end of the URL: one with an IPv6 address has some of its own.
    """
    position = key.find(_SEPARATOR)
    while position >= 0:
        if url_key(key[:position]) == url_key(tool.server_url):
            parts = [part.strip() for part in key[position + len(_SEPARATOR) :].split(_SEPARATOR)]
            return parts[0] == tool.name or (parts[0] == tool.server_name and parts[-1] == tool.name)
        position = key.find(_SEPARATOR, position + 1)
    return False
