"""Threads as the API shows them (MDA 9.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from waystation.storage.tables import threads
from waystation.threads.extract import Extraction
from waystation.threads.owned import READ_STATUS
from waystation.threads.wire import columns, stored_thread
from waystation.timestamps import iso

__all__ = ["FOUND", "STORED_METADATA", "SUMMARY", "WHOLE", "found", "summary", "thread", "updated", "whole"]

_STATE = ("values", "interrupts", "error")

SUMMARY = [
    threads.c[name]
    for name in (
        "thread_id",
        "agent_id",
        "status",
        "metadata",
        "title",
        "unread",
        "created_at",
        "updated_at",
        "state_updated_at",
    )
]
"""What `thread`, `updated` and `summary` need of a row."""

WHOLE = [*columns(_STATE), *SUMMARY]
"""What `whole` needs."""

FOUND = ("agent_id", "title", "unread")
"""What `found` needs beside the fields of a thread of the Agent Server."""

STORED_METADATA = Extraction("metadata", "metadata", ())
"""And the metadata as an object. No client can give an extraction the name of a field."""


def thread(row: Row[Any]) -> dict[str, Any]:
    """A new thread."""
    return {
        "id": row.thread_id,
        "agent_id": row.agent_id,
        "status": row.status,
        "metadata": _metadata(row.metadata, unread=row.unread),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def updated(row: Row[Any]) -> dict[str, Any]:
    """A thread after a change. No title is left out."""
    return {**thread(row), **_title(row.title)}


def summary(row: Row[Any]) -> dict[str, Any]:
    """An item of a list."""
    more = {"has_interrupts": row.status == "interrupted", "state_updated_at": iso(row.state_updated_at)}
    return {**updated(row), **more}


def whole(row: Row[Any]) -> dict[str, Any]:
    """A thread with its state, which is put into the answer as it is stored."""
    return {**summary(row), "thread_id": row.thread_id, **stored_thread(row, _STATE)}


def found(row: Mapping[str, Any], *, selected: bool) -> dict[str, Any]:
    """What a search has found: a thread of the Agent Server, and unless fields were `selected` what this API says beside it."""
    shown = {name: value for name, value in row.items() if name not in FOUND}
    extracted = shown.pop("extracted")
    metadata = extracted.pop(STORED_METADATA.alias)
    if extracted:
        shown["extracted"] = extracted
    if "metadata" in row:
        shown["metadata"] = _metadata(metadata, unread=row["unread"])
    if not selected:
        shown |= {"id": row["thread_id"], "agent_id": row["agent_id"], **_title(row["title"])}
    return shown


def _metadata(stored: Mapping[str, Any], *, unread: bool) -> dict[str, Any]:
    return {**stored, READ_STATUS: not unread}


def _title(stored: bytes | None) -> dict[str, Any]:
    return {} if stored is None else {"title": bytes(stored).decode()}
