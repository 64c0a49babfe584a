"""Reading and writing checkpoints: the SQL of the run path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Connection

from waystation.storage.checkpoints.compression import Compression
from waystation.storage.checkpoints.deltas import Body, Tip, full_copy, read_path
from waystation.storage.checkpoints.keys import is_own_version, pack_id, unpack_id
from waystation.storage.driver import Asked, InsertSql, Sql
from waystation.storage.sealing import CHECKPOINT, open_blobs, seal_last

__all__ = [
    "SET_ASIDE",
    "CheckpointRow",
    "Row",
    "RunRow",
    "StoredCheckpoint",
    "ValueRow",
    "WritesRow",
    "find_checkpoint",
    "insert_rows",
    "list_checkpoints",
    "list_namespaces",
    "new_thread_key",
    "newest_checkpoint_id",
    "newest_run_id",
    "parent_of",
    "read_tip",
    "read_writes",
    "thread_key",
]

_THREAD_KEY = Sql("SELECT thread_key FROM checkpoint_threads WHERE thread_id = ?")

_INSERT_THREAD = Sql(
    "INSERT INTO checkpoint_threads (thread_id) VALUES (?) ON CONFLICT (thread_id) DO NOTHING RETURNING thread_key"
)

_FIND_OR_INSERT_THREAD = Sql(
    "WITH found AS (SELECT thread_key FROM checkpoint_threads WHERE thread_id = ?), made AS ("
    " INSERT INTO checkpoint_threads (thread_id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM found)"
    " ON CONFLICT (thread_id) DO NOTHING RETURNING thread_key"
    ") SELECT thread_key FROM found UNION ALL SELECT thread_key FROM made"
)
"""Finds nothing if another transaction inserts the thread at the same time."""

_INSERT_RUNS = InsertSql(
    "checkpoint_runs",
    "thread_key, run_key, run_id, metadata",
    "ON CONFLICT (thread_key, run_key) DO NOTHING",
)

_INSERT_CHECKPOINTS = InsertSql(
    "checkpoints",
    "thread_key, ns, checkpoint_id, parent_id, run_key, data",
    "ON CONFLICT (thread_key, ns, checkpoint_id) DO UPDATE"
    " SET parent_id = excluded.parent_id, run_key = excluded.run_key, data = excluded.data",
)

_ADD_VALUES = InsertSql(
    "checkpoint_values",
    "thread_key, ns, channel, version, base, run_key, data",
    "ON CONFLICT (thread_key, ns, channel, version) DO NOTHING",
)

_SET_VALUES = InsertSql(
    "checkpoint_values",
    "thread_key, ns, channel, version, base, run_key, data",
    "ON CONFLICT (thread_key, ns, channel, version) DO UPDATE"
    " SET base = excluded.base, run_key = excluded.run_key, data = excluded.data",
)

_INSERT_WRITES = InsertSql("checkpoint_writes", "thread_key, ns, checkpoint_id, run_key, count, data")

_INSERTS = (_INSERT_RUNS, _INSERT_CHECKPOINTS, _ADD_VALUES, _SET_VALUES, _INSERT_WRITES)
"""Of each table the last column is what may be sealed."""

_VALUE = Sql("SELECT base, data FROM checkpoint_values WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?")

_HAS_VALUE = Sql("SELECT 1 FROM checkpoint_values WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?")

_PATH = Sql(
    "WITH RECURSIVE path (depth, version, base, data) AS ("
    " SELECT 0, version, base, data FROM checkpoint_values"
    " WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?"
    " UNION ALL"
    " SELECT path.depth + 1, below.version, below.base, below.data FROM path JOIN checkpoint_values AS below"
    " ON below.thread_key = ? AND below.ns = ? AND below.channel = ? AND below.version = path.base"
    ") SELECT version, data FROM path ORDER BY depth DESC"
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

_NEWEST_RUN = Sql(
    "SELECT r.run_id FROM checkpoints AS c JOIN checkpoint_threads AS t ON t.thread_key = c.thread_key"
    " JOIN checkpoint_runs AS r ON r.thread_key = c.thread_key AND r.run_key = c.run_key"
    " WHERE t.thread_id = ? AND c.ns = '' ORDER BY c.checkpoint_id DESC LIMIT 1"
)

_NAMESPACES = Sql("SELECT DISTINCT ns FROM checkpoints WHERE thread_key = ? ORDER BY ns")

SET_ASIDE = "deleted:"
"""What the ids of threads begin with that have been deleted, as far as somebody may ask, but whose rows are still there."""

_THREADS = Sql(
    f"SELECT thread_id FROM checkpoint_threads WHERE SUBSTR(thread_id, 1, {len(SET_ASIDE)}) <> '{SET_ASIDE}'"
    " ORDER BY thread_key"
)


class RunRow(NamedTuple):
    """The metadata that all checkpoints of a run share; whose writes and values are whose."""

    thread_id: str
    key: int
    run_id: bytes | None
    metadata: bytes


class ValueRow(NamedTuple):
    """One version of a channel."""

    channel: str
    version: Any
    key: int
    """The version as the database knows it."""
    base: int | None
    data: bytes
    body: Body
    """In case the base turns out not to be there."""


class CheckpointRow(NamedTuple):
    """A checkpoint with the channel values that are new in it."""

    thread_id: str
    ns: str
    checkpoint_id: str
    parent_id: str | None
    run_key: int
    data: bytes
    values: list[ValueRow]


class WritesRow(NamedTuple):
    """Pending writes of one task on a checkpoint."""

    thread_id: str
    ns: str
    checkpoint_id: str
    run_key: int
    writes: int
    data: bytes


Row = RunRow | CheckpointRow | WritesRow


class StoredCheckpoint(Struct):
    """A checkpoint as it was read."""

    thread_id: str
    thread_key: int
    ns: str
    checkpoint_id: str
    parent_id: str | None
    data: bytes
    shared: bytes


def thread_key(conn: Connection, thread_id: str) -> int | None:
    """The key of a thread's rows, which is valid until the end of the transaction; None if the thread has none."""
    row = _THREAD_KEY.row(conn, thread_id)
    return row[0] if row else None


def _ask_key(conn: Connection, thread_id: str) -> Asked | None:
    """Ask for `new_thread_key` on PostgreSQL, where a statement costs little and its answer much."""
    return None if conn.dialect.name == "sqlite" else _FIND_OR_INSERT_THREAD.ask(conn, thread_id, thread_id)


def new_thread_key(conn: Connection, thread_id: str) -> int:
    """The key of the thread's rows, from now on."""
    row = _THREAD_KEY.row(conn, thread_id) or _INSERT_THREAD.row(conn, thread_id) or _THREAD_KEY.row(conn, thread_id)
    assert row is not None
    key: int = row[0]
    return key


def insert_rows(conn: Connection, rows: Sequence[Row], compression: Compression) -> None:
    """Store what some puts made. A checkpoint with the id of a stored one takes its place.

    Pending writes may come before the checkpoint they belong to.
    """
    keys = _keys(conn, rows)
    runs, checkpoints, writes = [], {}, []
    new_values: list[_PlacedValue] = []
    set_values: dict[tuple[Any, ...], _PlacedValue] = {}  # PostgreSQL sets no row twice in one statement
    for row in rows:
        key = keys[row.thread_id]
        if type(row) is CheckpointRow:
            own_id, parent_id = pack_id(row.checkpoint_id), pack_id(row.parent_id) if row.parent_id else None
            checkpoints[key, row.ns, own_id] = (key, row.ns, own_id, parent_id, row.run_key, row.data)
            for value in row.values:
                if is_own_version(value.version):
                    new_values.append((key, row, value))
                else:
                    set_values[key, row.ns, value.channel, value.key] = (key, row, value)
        elif type(row) is WritesRow:
            writes.append((key, row.ns, pack_id(row.checkpoint_id), row.run_key, row.writes, row.data))
        elif type(row) is RunRow:
            runs.append((key, row.key, row.run_id, row.metadata))
    tables = seal_last(
        CHECKPOINT,
        runs,
        list(checkpoints.values()),
        _with_bases(conn, new_values, compression),
        _with_bases(conn, list(set_values.values()), compression),
        writes,
    )
    for insert, sealed in zip(_INSERTS, tables, strict=True):
        insert.run(conn, sealed)


def _keys(conn: Connection, rows: Sequence[Row]) -> dict[str, int]:
    """The keys of the threads that the rows belong to."""
    asked = {thread_id: _ask_key(conn, thread_id) for thread_id in dict.fromkeys(row.thread_id for row in rows)}
    found = {thread_id: each.first() if each is not None else None for thread_id, each in asked.items()}
    return {thread_id: row[0] if row else new_thread_key(conn, thread_id) for thread_id, row in found.items()}


_PlacedValue = tuple[int, CheckpointRow, ValueRow]
"""A value, the checkpoint that brings it, and the key of the thread."""


def _with_bases(conn: Connection, values: Sequence[_PlacedValue], compression: Compression) -> list[tuple[Any, ...]]:
    """The rows of the values; in full where the base has been deleted meanwhile, or was never committed."""
    here: set[tuple[Any, ...]] = set()
    asked: list[Asked | None] = []
    for key, row, value in values:
        place = (key, row.ns, value.channel)
        known = value.base is None or (*place, value.base) in here
        asked.append(None if known else _HAS_VALUE.ask(conn, *place, value.base))
        here.add((*place, value.key))
    rows = []
    for (key, row, value), has_base in zip(values, asked, strict=True):
        base, data = value.base, value.data
        if has_base is not None and has_base.first() is None:
            base, data = None, full_copy(value.body, compression)
        rows.append((key, row.ns, value.channel, value.key, base, row.run_key, data))
    return rows


def find_checkpoint(conn: Connection, thread_id: str, ns: str, checkpoint_id: str | None) -> StoredCheckpoint | None:
    """One checkpoint without writes and values: the one with this id, or the newest of the namespace."""
    key = thread_key(conn, thread_id)
    if key is None:
        return None
    row = _BY_ID.row(conn, key, ns, pack_id(checkpoint_id)) if checkpoint_id else _NEWEST.row(conn, key, ns)
    return None if row is None else _stored(thread_id, key, ns, [row])[0]


def parent_of(conn: Connection, child: StoredCheckpoint) -> StoredCheckpoint | None:
    """The checkpoint before `child` on its branch, without writes and values."""
    if child.parent_id is None:
        return None
    row = _BY_ID.row(conn, child.thread_key, child.ns, pack_id(child.parent_id))
    return None if row is None else _stored(child.thread_id, child.thread_key, child.ns, [row])[0]


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
    return _stored(thread_id, key, ns, rows)


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
    return [*open_blobs(CHECKPOINT, [row[0] for row in rows])]


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
    start = near.get((channel, base)) if base is not None else None
    if base is None or start is not None:
        return read_path([(version, open_blobs(CHECKPOINT, [data])[0])], compression, start)
    path: Sequence[Any] = _PATH.rows(conn, *address, version, *address)
    opened = open_blobs(CHECKPOINT, [stored for _, stored in path])
    return read_path([(at, stored) for (at, _), stored in zip(path, opened, strict=True)], compression)


def newest_checkpoint_id(conn: Connection, thread_id: str, ns: str = "") -> str | None:
    """The id of the thread's newest checkpoint in a namespace; None if there is none."""
    row = _NEWEST_ID.row(conn, thread_id, ns)
    return unpack_id(row[0]) if row else None


def newest_run_id(conn: Connection, thread_id: str) -> str | None:
    """The run that made the thread's newest checkpoint; None if there is none, or no run made it."""
    row = _NEWEST_RUN.row(conn, thread_id)
    return unpack_id(row[0]) if row and row[0] is not None else None


def _stored(thread_id: str, key: int, ns: str, rows: Sequence[tuple[Any, ...]]) -> list[StoredCheckpoint]:
    opened = open_blobs(CHECKPOINT, [blob for row in rows for blob in row[2:]])
    return [
        StoredCheckpoint(
            thread_id, key, ns, unpack_id(checkpoint_id), unpack_id(parent_id) if parent_id else None, data, shared
        )
        for (checkpoint_id, parent_id, *_), data, shared in zip(rows, opened[::2], opened[1::2], strict=True)
    ]
