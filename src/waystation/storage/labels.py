"""Thread labels: an index of the threads' metadata, so that searching many threads does not read them (SQLite only).

A label is a top-level scalar of a thread's metadata. Triggers keep the table in step with `threads`, so that nobody who
writes metadata can forget it. Within one label the rows are in order of creation, which is the default order of a search:
its first page is read straight off the index however many threads carry the label. PostgreSQL has a GIN index instead.

The stored form of a value is its type and text. Long strings and fractions are cut, so for those a label finds too much
rather than too little, and the exact condition has to be checked as well (`Label.exact`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import BigInteger, Text, column, table

__all__ = ["CREATE_LABELS", "CREATE_METADATA_INDEX", "DROP_LABELS", "Label", "labels_of", "thread_labels"]

LONGEST = 200
"""Characters of a string that are indexed."""

_NUMBER = "iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)"
"""Integers in full, whether written ``1`` or ``1.0``; of other numbers only the integer part."""

_FORM = f"""CASE type
            WHEN 'text' THEN '"' || substr(value, 1, {LONGEST})
            WHEN 'integer' THEN {_NUMBER}
            WHEN 'real' THEN {_NUMBER}
            ELSE type
        END"""

_DELETE_OLD = f"""DELETE FROM thread_labels WHERE (key, value, created_at, thread_id) IN (
        SELECT key, {_FORM}, OLD.created_at, OLD.thread_id FROM json_each(OLD.metadata)
        WHERE type NOT IN ('object', 'array')
    );"""

_INSERT_NEW = f"""INSERT INTO thread_labels (key, value, created_at, thread_id)
        SELECT key, {_FORM}, NEW.created_at, NEW.thread_id FROM json_each(NEW.metadata)
        WHERE type NOT IN ('object', 'array');"""

CREATE_LABELS = (
    """CREATE TABLE thread_labels (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        thread_id TEXT NOT NULL,
        PRIMARY KEY (key, value, created_at, thread_id)
    ) WITHOUT ROWID""",
    f"""CREATE TRIGGER thread_labels_insert AFTER INSERT ON threads
    WHEN NEW.metadata <> '{{}}'
    BEGIN
        {_INSERT_NEW}
    END""",
    f"""CREATE TRIGGER thread_labels_update AFTER UPDATE OF metadata, created_at ON threads
    WHEN OLD.metadata <> NEW.metadata OR OLD.created_at <> NEW.created_at
    BEGIN
        {_DELETE_OLD}
        {_INSERT_NEW}
    END""",
    f"""CREATE TRIGGER thread_labels_delete AFTER DELETE ON threads
    WHEN OLD.metadata <> '{{}}'
    BEGIN
        {_DELETE_OLD}
    END""",
)
"""Statements that set the index up on SQLite, to be run once after `threads` has been created."""

DROP_LABELS = ("DROP TABLE IF EXISTS thread_labels",)
"""The inverse; the triggers go with the table `threads`."""

CREATE_METADATA_INDEX = (
    "CREATE INDEX ix_threads_metadata ON threads USING gin (metadata jsonb_path_ops) WITH (fastupdate = off)"
)
"""PostgreSQL's counterpart. New entries go into the index at once: in the list that it would keep of them otherwise, and that
every search reads, there may be thousands."""

thread_labels = table(
    "thread_labels",
    column("key", Text),
    column("value", Text),
    column("created_at", BigInteger),
    column("thread_id", Text),
)
"""For queries. Not in the metadata of `waystation.storage.tables`, because only SQLite has it."""


class Label(Struct, frozen=True):
    """A top-level scalar in the form that `thread_labels` stores."""

    key: str
    value: str
    exact: bool
    """Whether every thread with this label has the very value."""


def labels_of(metadata: Mapping[str, Any]) -> tuple[list[Label], bool]:
    """The labels that a thread containing the plain JSON object `metadata` must have, and whether they say it all."""
    labels = [_label(key, value) for key, value in metadata.items() if not isinstance(value, (dict, list))]
    return labels, len(labels) == len(metadata) and all(label.exact for label in labels)


def _label(key: str, value: str | int | float | bool | None) -> Label:
    if isinstance(value, str):
        return Label(key, f'"{value[:LONGEST]}', len(value) < LONGEST)
    if value is None:
        return Label(key, "null", True)
    if isinstance(value, bool):
        return Label(key, "true" if value else "false", True)
    whole = max(-(2**63), min(int(value), 2**63 - 1))
    return Label(key, f"#{whole}", True) if whole == value else Label(key, f"~{whole}", False)
