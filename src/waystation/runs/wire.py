"""The Run object of the API (spec 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.runs.queries import WIRE_COLUMNS
from waystation.storage.sealing import CONTEXT_KEY
from waystation.timestamps import iso

__all__ = ["SCHEMA", "run_to_wire"]

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
    if CONTEXT_KEY in kwargs:
        wire["kwargs"] = {name: value for name, value in kwargs.items() if name != CONTEXT_KEY}
    tracer = kwargs.get("langsmith_tracer") or {}
    if project := tracer.get("project_name"):
        wire["langsmith_session_name"] = project
    return wire
