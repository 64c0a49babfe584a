"""The Run object of the API (spec 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.runs.queries import WIRE_COLUMNS
from waystation.timestamps import iso

__all__ = ["run_to_wire"]


def run_to_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row, or the columns of it that were selected, as clients see it."""
    wire = {
        name: iso(value) if name in ("created_at", "updated_at") else value
        for name, value in row.items()
        if name in WIRE_COLUMNS
    }
    tracer = (row.get("kwargs") or {}).get("langsmith_tracer") or {}
    if project := tracer.get("project_name"):
        wire["langsmith_session_name"] = project
    return wire
