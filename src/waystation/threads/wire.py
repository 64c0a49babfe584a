"""The Thread object as clients see it (spec 3.1).

Reading a thread does not decode its JSON only to encode it again: `COLUMNS` are selected as text and put into the answer
as they are. A row that is at hand as Python objects goes through `thread`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row

from waystation.storage.sealed_types import as_text
from waystation.storage.tables import threads
from waystation.timestamps import iso

__all__ = ["COLUMNS", "FIELDS", "SCHEMA", "TTL_COLUMNS", "columns", "stored_thread", "thread", "ttl"]

SCHEMA: dict[str, Any] = {
    "title": "Thread",
    "type": "object",
    "required": ["thread_id", "created_at", "updated_at", "metadata", "status"],
    "properties": {
        "thread_id": {"type": "string", "format": "uuid"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "state_updated_at": {"type": "string", "format": "date-time"},
        "metadata": {"type": "object"},
        "config": {"type": "object"},
        "status": {"enum": ["idle", "busy", "interrupted", "error"]},
        "values": {},
        "interrupts": {"type": "object"},
        "error": {"type": ["object", "null"]},
        "ttl": {"type": "object"},
        "extracted": {"type": "object"},
    },
}

FIELDS = (
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "status",
    "values",
    "interrupts",
    "error",
)
_TIMES = frozenset({"created_at", "updated_at", "state_updated_at"})
_JSON = frozenset({"metadata", "config", "values", "interrupts", "error"})


def columns(fields: Iterable[str]) -> list[ColumnElement[Any]]:
    """What to select for `stored_thread` to show these fields."""
    return [as_text(threads.c[name]).label(name) if name in _JSON else threads.c[name] for name in fields]


COLUMNS = columns(FIELDS)
"""All of the Thread object."""

TTL_COLUMNS = [threads.c.ttl_strategy, threads.c.ttl_minutes, threads.c.expires_at]
"""What `ttl` needs."""


def thread(row: Mapping[str, Any]) -> dict[str, Any]:
    """The Thread object of a row whose JSON columns are Python objects."""
    return {name: iso(row[name]) if name in _TIMES else row[name] for name in FIELDS}


def stored_thread(row: Sequence[Any], fields: Iterable[str] = FIELDS) -> dict[str, Any]:
    """The Thread object of a row that begins with `columns` of these `fields`, ready to be encoded."""
    return {name: _wire(name, value) for name, value in zip(fields, row, strict=False)}


def ttl(row: Row[Any]) -> dict[str, Any] | None:
    """``{strategy, ttl_minutes, expires_at}`` of a row with `TTL_COLUMNS`; None when the thread does not expire."""
    if row.expires_at is None:
        return None
    return {"strategy": row.ttl_strategy, "ttl_minutes": row.ttl_minutes, "expires_at": iso(row.expires_at)}


def _wire(name: str, value: Any) -> Any:
    if name in _TIMES:
        return iso(value)
    if name in _JSON and isinstance(value, str):
        return orjson.Fragment(value)
    return value
