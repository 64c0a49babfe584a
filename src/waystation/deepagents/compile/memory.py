"""The memory directory of an agent: files in the server's store that outlive threads."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["AREA", "DIRECTORY", "HOT_FILE", "NAMESPACE", "memories_of", "memory_namespace"]

AREA = "agents"
"""The area of the store in which a server keeps it, out of reach of the store's routes."""

DIRECTORY = "/memories/"
"""Where the agent sees it."""

HOT_FILE = f"{DIRECTORY}AGENTS.md"
"""Is part of the prompt of every run."""

NAMESPACE = "__waystation_memory_namespace"
"""Where a graph finds the namespace in ``configurable``: it is the same graph for all users. Clients cannot set a key like this."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_@+:-]")


def memory_namespace(agent_id: str, user_id: str, scope: Literal["user", "agent"]) -> tuple[str, ...]:
    """The store's namespace of the memory of `agent_id`: that of the user, or that of all users.

    A file is an item there; its key is the path within the directory, such as ``/AGENTS.md``, its value ``{"content",
    "encoding", "created_at", "modified_at"}``.
    """
    owner = ("user", _label(user_id)) if scope == "user" else ("shared",)
    return (*memories_of(agent_id), *owner)


def memories_of(agent_id: str) -> tuple[str, ...]:
    """The namespace that all memories of an agent are below."""
    return ("deepagents", _label(agent_id), "memories")


def _label(text: str) -> str:
    """`text` with the characters escaped that a namespace cannot have; different texts stay different."""
    return _UNSAFE.sub(lambda found: f"~{ord(found[0]):x}~", text) or "~~"
