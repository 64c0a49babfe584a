"""The Run object of the API (spec 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.runs.queries import WIRE_COLUMNS
from waystation.storage.sealing import CONTEXT_KEY
from waystation.timestamps import iso

__all__ = ["OF_TASK", "SCHEMA", "run_to_wire"]

OF_TASK = "a2a"
"""What the kwargs of a run have that belongs to a task of A2A."""

OWN_KEYS = frozenset({CONTEXT_KEY, OF_TASK})
"""Members of the kwargs that are the server's business."""

SCHEMA: dict[str, Any] = {
    "title": "Run",
    "type": "object",
    "required": [*WIRE_COLUMNS],
    "properties": {
        "run_id": {"type": "string", "format": "uuid"},
        "thread_id": {"type": "string", "format": "uuid"},
        "assistant_id": {"type": "string", "format": "uuid"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "status": {"enum": ["pending", "running", "error", "success", "timeout", "interrupted"]},
        "metadata": {"type": "object"},
        "kwargs": {"type": "object"},
        "multitask_strategy": {"enum": ["reject", "rollback", "interrupt", "enqueue"]},
        "langsmith_session_name": {"type": "string"},
    },
}


def run_to_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row, or the columns of it that were selected, as clients see it."""
    wire = {
        name: iso(value) if name in ("created_at", "updated_at") else value
        for name, value in row.items()
        if name in WIRE_COLUMNS
    }
    kwargs = row.get("kwargs") or {}
    if kwargs.keys() & OWN_KEYS:
        wire["kwargs"] = {name: value for name, value in kwargs.items() if name not in OWN_KEYS}
    tracer = kwargs.get("langsmith_tracer") or {}
    if project := tracer.get("project_name"):
        wire["langsmith_session_name"] = project
    return wire
