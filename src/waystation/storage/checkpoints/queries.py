"""Reading and writing checkpoints: the SQL of the run path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from waystation.storage.checkpoints.compression import Compression
from waystation.storage.checkpoints.deltas import Body, Tip, full_copy, read_path
from waystation.storage.checkpoints.keys import is_own_version, pack_id, unpack_id
from waystation.storage.driver import Sql

__all__ = [
    "CheckpointRow",
    "RunRow",
    "StoredCheckpoint",
    "ValueRow",
    "WritesRow",
    "find_checkpoint",
    "insert_checkpoint",
    "insert_run",
    "insert_writes",
    "list_checkpoints",
    "list_namespaces",
    "new_thread_key",
    "newest_checkpoint_id",
    "parent_of",
    "read_tip",
    "read_writes",
    "thread_key",
]

_THREAD_KEY = Sql("SELECT thread_key FROM checkpoint_threads WHERE thread_id = ?")

_INSERT_THREAD = Sql("INSERT INTO checkpoint_threads (thread_id) VALUES (?) ON CONFLICT (thread_id) DO NOTHING")

_INSERT_RUN = Sql("INSERT INTO checkpoint_runs (thread_key, run_key, run_id, metadata) VALUES (?, ?, ?, ?)")

_INSERT_CHECKPOINT = Sql(
    "INSERT INTO checkpoints (thread_key, ns, checkpoint_id, parent_id, run_key, data) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (thread_key, ns, checkpoint_id) DO UPDATE"
    " SET parent_id = excluded.parent_id, run_key = excluded.run_key, data = excluded.data"
)

_INSERT_VALUE = (
    "INSERT INTO checkpoint_values (thread_key, ns, channel, version, base, run_key, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (thread_key, ns, channel, version) DO "
)
_ADD_VALUE = Sql(_INSERT_VALUE + "NOTHING")
_SET_VALUE = Sql(_INSERT_VALUE + "UPDATE SET base = excluded.base, run_key = excluded.run_key, data = excluded.data")

_VALUE = Sql("SELECT base, data FROM checkpoint_values WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?")

_PATH = Sql(
    "WITH RECURSIVE path (depth, version, base, data) AS ("
    " SELECT 0, version, base, data FROM checkpoint_values"
    " WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?"
    " UNION ALL"
    " SELECT path.depth + 1, below.version, below.base, below.data FROM path JOIN checkpoint_values AS below"
    " ON below.thread_key = ? AND below.ns = ? AND below.channel = ? AND below.version = path.base"
    ") SELECT version, data FROM path ORDER BY depth DESC"
)

_INSERT_WRITES = Sql(
    "INSERT INTO checkpoint_writes (thread_key, ns, checkpoint_id, run_key, count, data) VALUES (?, ?, ?, ?, ?, ?)"
)

_WRITES = Sql("SELECT data FROM checkpoint_writes WHERE thread_key = ? AND ns = ? AND checkpoint_id = ? ORDER BY id")

_CHECKPOINT = (
    "SELECT c.checkpoint_id, c.parent_id, c.data, r.metadata FROM checkpoints AS c"
    " JOIN checkpoint_runs AS r ON r.thread_key = c.thread_key AND r.run_key = c.run_key"
    " WHERE c.thread_key = ? AND c.ns = ?"
)
_NEWEST = Sql(_CHECKPOINT + " ORDER BY c.checkpoint_id DESC LIMIT 1")
_BY_ID = Sql(_CHECKPOINT + " AND c.checkpoint_id = ?")
_PAGE = Sql(_CHECKPOINT + " ORDER BY c.checkpoint_id DESC LIMIT ?")
_PAGE_BEFORE = Sql(_CHECKPOINT + " AND c.checkpoint_id < ? ORDER BY c.checkpoint_id DESC LIMIT ?")

_NEWEST_ID = Sql(
    "SELECT c.checkpoint_id FROM checkpoints AS c JOIN checkpoint_threads AS t ON t.thread_key = c.thread_key"
    " WHERE t.thread_id = ? AND c.ns = ? ORDER BY c.checkpoint_id DESC LIMIT 1"
)

_NAMESPACES = Sql("SELECT DISTINCT ns FROM checkpoints WHERE thread_key = ? ORDER BY ns")

_THREADS = Sql("SELECT thread_id FROM checkpoint_threads ORDER BY thread_key")


@dataclass(frozen=True, slots=True)
class RunRow:
    """The metadata that all checkpoints of a run share; whose writes and values are whose."""

    key: int
    run_id: bytes | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One version of a channel."""

    channel: str
    version: Any
    key: int
    """The version as the database knows it."""
    base: int | None
    data: bytes
    body: Body
    """In case the base turns out not to be there."""


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint with the channel values that are new in it."""

    thread_id: str
    ns: str
    checkpoint_id: str
    parent_id: str | None
    run_key: int
    run: RunRow | None
    """To be inserted first; None if that has been done or there is none."""
    data: bytes
    values: list[ValueRow]


@dataclass(frozen=True, slots=True)
class WritesRow:
    """Pending writes of one task on a checkpoint."""

    thread_id: str
    ns: str
    checkpoint_id: str
    run_key: int
    run: RunRow | None
    count: int
    data: bytes


@dataclass(slots=True)
class StoredCheckpoint:
    """A checkpoint as it was read."""

    thread_id: str
    thread_key: int
    ns: str
    checkpoint_id: str
    parent_id: str | None
    data: bytes
    shared: bytes
    writes: list[bytes] = field(default_factory=list)
    tips: dict[str, Tip] = field(default_factory=dict)


def thread_key(conn: Connection, thread_id: str) -> int | None:
    """The key of a thread's rows, which is valid until the end of the transaction; None if the thread has none."""
    row = _THREAD_KEY.row(conn, thread_id)
    return row[0] if row else None


def new_thread_key(conn: Connection, thread_id: str) -> int:
    """The key of the thread's rows, from now on."""
    key = thread_key(conn, thread_id)
    if key is None:
        _INSERT_THREAD.run(conn, thread_id)
        key = thread_key(conn, thread_id)
    assert key is not None
    return key


def insert_run(conn: Connection, thread_id: str, run: RunRow) -> None:
    """Store what the checkpoints of a run have in common."""
    _INSERT_RUN.run(conn, new_thread_key(conn, thread_id), run.key, run.run_id, run.metadata)


def insert_checkpoint(conn: Connection, row: CheckpointRow, compression: Compression) -> None:
    """Store a checkpoint; one with the same id is replaced."""
    key = new_thread_key(conn, row.thread_id)
    if row.run is not None:
        _INSERT_RUN.run(conn, key, row.run.key, row.run.run_id, row.run.metadata)
    parent = pack_id(row.parent_id) if row.parent_id else None
    _INSERT_CHECKPOINT.run(conn, key, row.ns, pack_id(row.checkpoint_id), parent, row.run_key, row.data)
    for value in row.values:
        base, data = value.base, value.data
        if base is not None and not _VALUE.row(conn, key, row.ns, value.channel, base):
            # Deleted meanwhile, or written by a run whose own transaction failed.
            base, data = None, full_copy(value.body, compression)
        insert = _ADD_VALUE if is_own_version(value.version) else _SET_VALUE
        insert.run(conn, key, row.ns, value.channel, value.key, base, row.run_key, data)


def insert_writes(conn: Connection, row: WritesRow) -> None:
    """Store pending writes. The checkpoint need not be there yet."""
    key = new_thread_key(conn, row.thread_id)
    if row.run is not None:
        _INSERT_RUN.run(conn, key, row.run.key, row.run.run_id, row.run.metadata)
    _INSERT_WRITES.run(conn, key, row.ns, pack_id(row.checkpoint_id), row.run_key, row.count, row.data)


def find_checkpoint(conn: Connection, thread_id: str, ns: str, checkpoint_id: str | None) -> StoredCheckpoint | None:
    """One checkpoint without writes and values: the one with this id, or the newest of the namespace."""
    key = thread_key(conn, thread_id)
    if key is None:
        return None
    row = _BY_ID.row(conn, key, ns, pack_id(checkpoint_id)) if checkpoint_id else _NEWEST.row(conn, key, ns)
    return None if row is None else _stored(thread_id, key, ns, row)


def parent_of(conn: Connection, child: StoredCheckpoint) -> StoredCheckpoint | None:
    """The checkpoint before `child` on its branch, without writes and values."""
    if child.parent_id is None:
        return None
    row = _BY_ID.row(conn, child.thread_key, child.ns, pack_id(child.parent_id))
    return None if row is None else _stored(child.thread_id, child.thread_key, child.ns, row)


def list_checkpoints(
    conn: Connection, thread_id: str, ns: str, before: str | None, limit: int
) -> list[StoredCheckpoint]:
    """At most `limit` checkpoints older than `before`, newest first, without writes and values."""
    key = thread_key(conn, thread_id)
    if key is None:
        return []
    if before is None:
        rows = _PAGE.rows(conn, key, ns, limit)
    else:
        rows = _PAGE_BEFORE.rows(conn, key, ns, pack_id(before), limit)
    return [_stored(thread_id, key, ns, row) for row in rows]


def list_namespaces(conn: Connection, thread_id: str | None) -> list[tuple[str, str]]:
    """Thread id and namespace of all checkpoints there are, or those of one thread."""
    thread_ids = [row[0] for row in _THREADS.rows(conn)] if thread_id is None else [thread_id]
    return [
        (each, row[0])
        for each in thread_ids
        if (key := thread_key(conn, each)) is not None
        for row in _NAMESPACES.rows(conn, key)
    ]


def read_writes(conn: Connection, checkpoint: StoredCheckpoint) -> list[bytes]:
    """The stored pending writes on a checkpoint, in the order in which they came."""
    rows = _WRITES.rows(conn, checkpoint.thread_key, checkpoint.ns, pack_id(checkpoint.checkpoint_id))
    return [row[0] for row in rows]


def read_tip(
    conn: Connection,
    checkpoint: StoredCheckpoint,
    channel: str,
    version: int,
    near: dict[tuple[str, int], Tip],
    compression: Compression,
) -> Tip | None:
    """One version of a channel, None if it was never stored. `near` has versions that were read just before."""
    if found := near.get((channel, version)):
        return found
    address = (checkpoint.thread_key, checkpoint.ns, channel)
    row = _VALUE.row(conn, *address, version)
    if row is None:
        return None
    base, data = row
    if base is None:
        return read_path([(version, data)], compression)
    if start := near.get((channel, base)):
        return read_path([(version, data)], compression, start)
    path: Sequence[Any] = _PATH.rows(conn, *address, version, *address)
    return read_path(path, compression)


def newest_checkpoint_id(conn: Connection, thread_id: str, ns: str = "") -> str | None:
    """The id of the thread's newest checkpoint in a namespace; None if there is none."""
    row = _NEWEST_ID.row(conn, thread_id, ns)
    return unpack_id(row[0]) if row else None


def _stored(thread_id: str, key: int, ns: str, row: tuple[Any, ...]) -> StoredCheckpoint:
    checkpoint_id, parent_id, data, shared = row
    return StoredCheckpoint(
        thread_id, key, ns, unpack_id(checkpoint_id), unpack_id(parent_id) if parent_id else None, data, shared
    )
