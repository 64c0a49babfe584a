"""Keys that are the server's own: it finds rows by them, or has to know them whatever else is encrypted (spec 23)."""

from __future__ import annotations

from waystation.storage.sealing import CONTEXT_KEY

__all__ = ["CONFIG_KEYS", "ID_KEYS", "is_system_key"]

ID_KEYS = frozenset(
    {
        "assistant_id",
        "checkpoint_id",
        "checkpoint_map",
        "checkpoint_ns",
        "created_by",
        "cron_id",
        "graph_id",
        "run_id",
        "thread_id",
    }
)
"""In metadata and configurables: what they name. Searches find rows by it."""

CONFIG_KEYS = frozenset({"recursion_limit", "max_concurrency", "run_name", "tags"})
"""Members of a config that are not about what users have said."""

_STRUCTURE = frozenset({"configurable", "metadata", "ttl", CONTEXT_KEY})


def is_system_key(key: str) -> bool:
    """Whether the key is the server's own. Those that begin with two underscores are as well."""
    return key in ID_KEYS or key in CONFIG_KEYS or key in _STRUCTURE or key.startswith("__")
