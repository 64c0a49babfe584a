"""The Cron object as clients see it (spec 12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from waystation.timestamps import iso

__all__ = ["FIELDS", "SCHEMA", "cron_to_wire"]

FIELDS = (
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "schedule",
    "timezone",
    "end_time",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
)

SCHEMA: dict[str, Any] = {
    "title": "Cron",
    "type": "object",
    "required": [*FIELDS],
    "properties": {
        "cron_id": {"type": "string", "format": "uuid"},
        "assistant_id": {"type": "string", "format": "uuid"},
        "thread_id": {"type": ["string", "null"], "format": "uuid"},
        "user_id": {"type": ["string", "null"]},
        "schedule": {"type": "string"},
        "timezone": {"type": ["string", "null"]},
        "end_time": {"type": ["string", "null"], "format": "date-time"},
        "payload": {"type": "object"},
        "next_run_date": {"type": ["string", "null"], "format": "date-time"},
        "metadata": {"type": "object"},
        "on_run_completed": {"enum": ["delete", "keep", None]},
        "enabled": {"type": "boolean"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    },
}

_TIMES = frozenset({"end_time", "next_run_date", "created_at", "updated_at"})


def cron_to_wire(row: Mapping[str, Any], fields: Iterable[str] = FIELDS) -> dict[str, Any]:
    """The `fields` of a cron's row."""
    return {name: iso(row[name]) if name in _TIMES and row[name] is not None else row[name] for name in fields}
