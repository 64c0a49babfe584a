"""Reading a ``tools.json`` (managed-deep-agents.md 7.1, 7.2)."""

from __future__ import annotations

import json
from typing import Any

from waystation.deepagents.compile.definition import Toolbox, ToolReference
from waystation.errors import UnprocessableInput

__all__ = ["parse_toolbox"]

_KEYS = frozenset({"tools", "interrupt_config"})
_TOOL_KEYS = frozenset({"name", "mcp_server_url", "mcp_server_name", "display_name"})


def parse_toolbox(path: str, text: str) -> Toolbox:
    """The toolbox in the file `path`. Raises UnprocessableInput that names file and key."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnprocessableInput(f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}.") from None
    if not isinstance(raw, dict):
        raise UnprocessableInput(f'{path}: must hold an object: {{"tools": [...], "interrupt_config": {{...}}}}.')
    _refuse_unknown(f"{path}", raw, _KEYS)
    entries = raw["tools"] if raw.get("tools") is not None else []
    if not isinstance(entries, list):
        raise UnprocessableInput(f"{path}: tools: must be an array.")
    tools = [_tool(f"{path}: tools[{index}]", entry) for index, entry in enumerate(entries)]
    unique = {(tool.server_url.lower(), tool.name): tool for tool in tools}
    return Toolbox(tuple(unique.values()), _interrupt_config(path, raw.get("interrupt_config")))


def _tool(place: str, entry: Any) -> ToolReference:
    if not isinstance(entry, dict):
        raise UnprocessableInput(f"{place}: must be an object with name and mcp_server_url.")
    _refuse_unknown(place, entry, _TOOL_KEYS)
    name = _text(place, entry, "name")
    url = _text(place, entry, "mcp_server_url").rstrip("/")
    if not name or not url:
        raise UnprocessableInput(f"{place}: {'mcp_server_url' if name else 'name'}: must be a non-empty string.")
    return ToolReference(
        name, url, _text(place, entry, "mcp_server_name") or url, _text(place, entry, "display_name") or name
    )


def _text(place: str, entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnprocessableInput(f"{place}: {key}: must be a string.")
    return value.strip()


def _interrupt_config(path: str, value: Any) -> dict[str, bool]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnprocessableInput(f"{path}: interrupt_config: must be an object of true and false by tool.")
    for key, gated in value.items():
        if not isinstance(gated, bool):
            raise UnprocessableInput(f"{path}: interrupt_config[{key!r}]: must be true or false.")
    return value


def _refuse_unknown(place: str, given: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise UnprocessableInput(f"{place}: {unknown[0]}: there is no such key; known are {', '.join(sorted(known))}.")
