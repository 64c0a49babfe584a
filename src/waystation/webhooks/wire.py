"""A delivery as clients see it. It is not part of the Agent Server API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.timestamps import iso

__all__ = ["SCHEMA", "delivery_to_wire"]

_WHEN = {"type": ["string", "null"], "format": "date-time"}

SCHEMA: dict[str, Any] = {
    "title": "WebhookDelivery",
    "type": "object",
    "properties": {
        "delivery_id": {"type": "string", "format": "uuid"},
        "url": {"type": "string"},
        "status": {"enum": ["pending", "delivered", "failed"]},
        "attempts": {"type": "integer"},
        "next_attempt_at": _WHEN,
        "created_at": _WHEN,
        "finished_at": _WHEN,
        "log": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "attempt": {"type": "integer"},
                    "at": _WHEN,
                    "duration_ms": {"type": "integer"},
                    "status": {"type": ["integer", "null"]},
                    "error": {"type": ["string", "null"]},
                },
            },
        },
    },
}


def delivery_to_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery's row."""
    times = {"next_attempt_at": row["due_at"], "created_at": row["created_at"], "finished_at": row["finished_at"]}
    return {
        **{name: row[name] for name in ("delivery_id", "url", "status", "attempts")},
        **{name: None if us is None else iso(us) for name, us in times.items()},
        "log": row["log"],
    }
