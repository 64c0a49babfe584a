"""The Assistant object as clients see it (spec 2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from waystation.timestamps import iso

__all__ = ["FIELDS", "SCHEMA", "assistant"]

FIELDS = (
    "assistant_id",
    "graph_id",
    "config",
    "context",
    "metadata",
    "name",
    "description",
    "created_at",
    "updated_at",
    "version",
)

SCHEMA: dict[str, Any] = {
    "title": "Assistant",
    "type": "object",
    "required": ["assistant_id", "graph_id", "config", "created_at", "updated_at", "metadata"],
    "properties": {
        "assistant_id": {"type": "string", "format": "uuid"},
        "graph_id": {"type": "string"},
        "config": {"type": "object"},
        "context": {"type": "object"},
        "metadata": {"type": "object"},
        "name": {"type": "string"},
        "description": {"type": ["string", "null"]},
        "version": {"type": "integer"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    },
}

_TIMES = frozenset({"created_at", "updated_at"})


def assistant(row: Mapping[str, Any], fields: Iterable[str] = FIELDS) -> dict[str, Any]:
    """The `fields` of an assistant or of one of its versions (which has no ``updated_at``)."""
    return {name: iso(row[name]) if name in _TIMES else row[name] for name in fields if name in row}
