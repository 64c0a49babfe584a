"""Keys that stay in the clear: the server finds rows by them, or has to know them before it can decrypt anything (spec 23)."""

from __future__ import annotations

from waystation.storage.sealing import CONTEXT_KEY

__all__ = ["CLEAR_CONFIG", "is_system_key"]

_SYSTEM = frozenset(
    {
        "assistant_id",
        "checkpoint_id",
        "checkpoint_map",
        "checkpoint_ns",
        "configurable",
        "created_by",
        "cron_id",
        "graph_id",
        "metadata",
        "run_id",
        "thread_id",
        "ttl",
        CONTEXT_KEY,
    }
)

CLEAR_CONFIG = frozenset({"recursion_limit", "max_concurrency", "run_name", "tags"})
"""Members of a config that are not about what users have said."""


def is_system_key(key: str) -> bool:
    """Whether the key is the server's own. Those that begin with two underscores are as well."""
    return key in _SYSTEM or key in CLEAR_CONFIG or key.startswith("__")
