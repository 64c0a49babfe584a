"""Agents as the API shows them (MDA 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.deepagents.agents.permissions import level_of
from waystation.deepagents.files.definition import Definition, definition_of
from waystation.deepagents.files.tree import Files
from waystation.deepagents.identity import Principal
from waystation.timestamps import iso

__all__ = ["agent", "file_map", "revision", "summary"]

_OPTIONAL = ("description", "runtime", "backend", "extras")


def summary(row: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    """An item of a list, for one caller. What is not set is left out."""
    settings = row["settings"]
    return {
        "id": row["agent_id"],
        "name": row["name"],
        "owner_id": row["owner_id"],
        "created_at": iso(row["created_at"]),
        "updated_at": iso(row["updated_at"]),
        "permissions": settings["permissions"],
        **{name: settings[name] for name in _OPTIONAL if name in settings},
        "access_level": level_of(row, principal).name,
        "is_owner": row["owner_id"] == principal.user_id,
    }


def agent(row: Mapping[str, Any], files: Files, principal: Principal, *, include_files: bool) -> dict[str, Any]:
    """The whole agent, its typed fields read from its files."""
    found = {**summary(row, principal), "revision": row["revision"], **_typed(definition_of(files))}
    return {**found, "files": file_map(files)} if include_files else found


def revision(row: Mapping[str, Any], current: int) -> dict[str, Any]:
    """One revision of an agent; `current` is the number of the newest."""
    return {
        "revision": row["revision"],
        "number": row["number"],
        "created_at": iso(row["created_at"]),
        "created_by": row["author_id"],
        "is_current": row["number"] == current,
        "paths": sorted(row["manifest"]),
    }


def file_map(files: Files) -> dict[str, Any]:
    """Every file as a ``FileEntry``."""
    return {path: {"type": "file", "content": files[path]} for path in sorted(files)}


def _typed(definition: Definition) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if definition.system_prompt is not None:
        found["system_prompt"] = found["instructions"] = definition.system_prompt
    if definition.tools is not None:
        found["tools"] = definition.tools
    for name in ("subagents", "skills"):
        if members := getattr(definition, name):
            found[name] = members
    return found
