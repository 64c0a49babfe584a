"""Deleting, copying and measuring the checkpoints of whole threads and runs.

Storage functions for the transactions of other packages: each takes a connection, and the caller commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from waystation.errors import BadInput, Conflict, SealBroken
from waystation.storage.checkpoints import pruning, queries, removal
from waystation.storage.checkpoints.compression import Compression
from waystation.storage.checkpoints.keys import pack_id
from waystation.storage.checkpoints.records import Record, used_versions
from waystation.storage.driver import Sql
from waystation.storage.sealing import CHECKPOINT, open_blobs

__all__ = [
    "copy_thread",
    "delete_for_runs",
    "delete_runs_everywhere",
    "delete_threads",
    "prune",
    "storage_report",
]

log = structlog.get_logger("waystation.storage")

_COPY = (
    Sql(
        "INSERT INTO checkpoint_runs (thread_key, run_key, run_id, metadata)"
        " SELECT CAST(? AS BIGINT), run_key, run_id, metadata FROM checkpoint_runs WHERE thread_key = ?"
    ),
    Sql(
        "INSERT INTO checkpoints (thread_key, ns, checkpoint_id, parent_id, run_key, data)"
        " SELECT CAST(? AS BIGINT), ns, checkpoint_id, parent_id, run_key, data FROM checkpoints WHERE thread_key = ?"
    ),
    Sql(
        "INSERT INTO checkpoint_values (thread_key, ns, channel, version, base, run_key, data)"
        " SELECT CAST(? AS BIGINT), ns, channel, version, base, run_key, data FROM checkpoint_values"
        " WHERE thread_key = ?"
    ),
    Sql(
        "INSERT INTO checkpoint_writes (thread_key, ns, checkpoint_id, run_key, count, data)"
        " SELECT CAST(? AS BIGINT), ns, checkpoint_id, run_key, count, data FROM checkpoint_writes"
        " WHERE thread_key = ? ORDER BY id"
    ),
)

_HAS_CHECKPOINTS = Sql("SELECT 1 FROM checkpoints WHERE thread_key = ? LIMIT 1")

_RUN_KEYS = Sql("SELECT run_key FROM checkpoint_runs WHERE thread_key = ? AND run_id = ?")

_RUN_PLACES = Sql("SELECT thread_key, run_key FROM checkpoint_runs WHERE run_id = ?")

_CHECKPOINTS_OF_RUN = Sql(
    "SELECT ns, checkpoint_id FROM checkpoints WHERE thread_key = ? AND run_key = ? ORDER BY checkpoint_id"
)

_NEWER = Sql("SELECT 1 FROM checkpoints WHERE thread_key = ? AND checkpoint_id > ? LIMIT 1")

_DELETE_RUN = tuple(
    Sql(f"DELETE FROM {table} WHERE thread_key = ? AND run_key = ?")
    for table in ("checkpoints", "checkpoint_writes", "checkpoint_runs")
)

_DELETE_VALUES_OF_RUN = Sql("DELETE FROM checkpoint_values WHERE thread_key = ? AND run_key = ?")

_DELETE_WRITES = Sql("DELETE FROM checkpoint_writes WHERE thread_key = ? AND ns = ? AND checkpoint_id = ?")

_DELETE_VALUE = Sql("DELETE FROM checkpoint_values WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?")

_RECORDS = Sql("SELECT ns, data FROM checkpoints WHERE thread_key = ?")

_VALUES = Sql("SELECT ns, channel, version, base FROM checkpoint_values WHERE thread_key = ?")

_SIZE_OF_CHECKPOINTS = Sql(
    "SELECT COUNT(*), COALESCE(SUM(LENGTH(data)), 0),"
    " (SELECT COALESCE(SUM(LENGTH(metadata)), 0) FROM checkpoint_runs WHERE thread_key = ?)"
    " FROM checkpoints WHERE thread_key = ?"
)

_SIZE_OF_VALUES = Sql(
    "SELECT channel, COUNT(*), SUM(LENGTH(data)) FROM checkpoint_values WHERE thread_key = ?"
    " GROUP BY channel ORDER BY channel"
)

_SIZE_OF_WRITES = Sql(
    "SELECT COALESCE(SUM(count), 0), COALESCE(SUM(LENGTH(data)), 0) FROM checkpoint_writes WHERE thread_key = ?"
)

AT_ONCE = 5000
"""Rows that `prune` deletes before it looks at the thread again."""


def delete_threads(conn: Connection, thread_ids: Iterable[str]) -> None:
    """Delete everything these threads have in checkpoints. Unknown ids are skipped."""
    for thread_id in thread_ids:
        removal.delete_thread(conn, thread_id)


def copy_thread(conn: Connection, source: str, target: str) -> None:
    """Give the thread `target` all checkpoints of `source`, with their ids. Raises Conflict if it has some already.

    The thread's own id in the metadata is not stored (`records.py`), so there is nothing to rewrite.
    """
    from_key = queries.thread_key(conn, source)
    if from_key is None:
        return
    to_key = queries.new_thread_key(conn, target)
    if _HAS_CHECKPOINTS.row(conn, to_key):
        raise Conflict(f"The thread {target} has checkpoints of its own.")
    for statement in _COPY:
        statement.run(conn, to_key, from_key)


def delete_for_runs(conn: Connection, thread_id: str, run_ids: Iterable[str]) -> None:
    """Delete what these runs have written on the thread: checkpoints, values, and writes on other runs' checkpoints.

    Afterwards the newest checkpoint is the one before the runs, in the state in which they found it (spec 7). Values that
    checkpoints of later runs need stay.
    """
    key = queries.thread_key(conn, thread_id)
    if key is not None:
        packed = [pack_id(run_id) for run_id in run_ids]
        _delete_runs(conn, key, [row[0] for run_id in packed for row in _RUN_KEYS.rows(conn, key, run_id)])


def delete_runs_everywhere(conn: Connection, run_ids: Iterable[str]) -> None:
    """`delete_for_runs`, whatever the threads."""
    run_keys: dict[int, list[int]] = {}
    for run_id in run_ids:
        for key, run_key in _RUN_PLACES.rows(conn, pack_id(run_id)):
            run_keys.setdefault(key, []).append(run_key)
    for key, of_thread in run_keys.items():
        _delete_runs(conn, key, of_thread)


def prune(conn: Connection, thread_ids: Iterable[str], strategy: str = "keep_latest") -> None:
    """``delete``: delete the threads' checkpoints; ``keep_latest``: all but the newest of each namespace.

    A newest checkpoint with values of a `DeltaChannel` keeps the ancestors that these are rebuilt from. Raises BadInput for
    another strategy.
    """
    if strategy == "delete":
        delete_threads(conn, thread_ids)
    elif strategy == "keep_latest":
        for thread_id in thread_ids:
            place: pruning.Place | None = pruning.BEGINNING
            while place is not None:
                _, place = pruning.keep_latest(conn, thread_id, AT_ONCE, place)
    else:
        raise BadInput(f"There is no prune strategy {strategy!r}; use 'delete' or 'keep_latest'.")


def storage_report(conn: Connection, thread_id: str) -> dict[str, Any]:
    """How many bytes the thread's checkpoints take, in the shape of spec 3.2; zeros for a thread without any."""
    key = queries.thread_key(conn, thread_id)
    count, size, shared = (_SIZE_OF_CHECKPOINTS.row(conn, key, key) if key is not None else None) or (0, 0, 0)
    channels = _SIZE_OF_VALUES.rows(conn, key) if key is not None else []
    writes, writes_size = (_SIZE_OF_WRITES.row(conn, key) if key is not None else None) or (0, 0)
    values_size = sum(int(channel_size) for _, _, channel_size in channels)
    checkpoints_size = int(size) + int(shared)
    return {
        "thread_id": thread_id,
        "total_bytes": checkpoints_size + values_size + int(writes_size),
        "checkpoints": {"count": count, "bytes": checkpoints_size},
        "channel_values": {
            "count": sum(versions for _, versions, _ in channels),
            "bytes": values_size,
            "by_channel": {
                channel: {"versions": versions, "bytes": int(channel_size)}
                for channel, versions, channel_size in channels
            },
        },
        "pending_writes": {"count": int(writes), "bytes": int(writes_size)},
    }


def _delete_runs(conn: Connection, key: int, run_keys: Sequence[int]) -> None:
    deleted = [row for run_key in run_keys for row in _CHECKPOINTS_OF_RUN.rows(conn, key, run_key)]
    for run_key in run_keys:
        for statement in _DELETE_RUN:
            statement.run(conn, key, run_key)
    for ns, checkpoint_id in deleted:
        _DELETE_WRITES.run(conn, key, ns, checkpoint_id)
    if not deleted:
        return
    # Nothing but a newer checkpoint can need a value that these runs have written.
    if _NEWER.row(conn, key, min(checkpoint_id for _, checkpoint_id in deleted)):
        _delete_unused_values(conn, key)
    else:
        for run_key in run_keys:
            _DELETE_VALUES_OF_RUN.run(conn, key, run_key)


def _delete_unused_values(conn: Connection, key: int) -> None:
    """Delete the values that no checkpoint of the thread can be read without. All stay if it cannot be decrypted which."""
    compression = Compression()
    records: dict[str, list[Record]] = {}
    rows = _RECORDS.rows(conn, key)
    try:
        opened = open_blobs(CHECKPOINT, [stored for _, stored in rows])
    except SealBroken as error:
        log.warning("unused values of a thread's history were not deleted", error=error.message)
        return
    for (ns, _), data in zip(rows, opened, strict=True):
        records.setdefault(ns, []).append(Record.unpack(data, compression))
    bases: dict[str, dict[tuple[str, int], int | None]] = {}
    for ns, channel, version, base in _VALUES.rows(conn, key):
        bases.setdefault(ns, {})[channel, version] = base
    for ns, of_namespace in bases.items():
        used = used_versions(records.get(ns, ()), partial(_base, of_namespace))
        for channel, version in of_namespace:
            if version not in used.get(channel, ()):
                _DELETE_VALUE.run(conn, key, ns, channel, version)


def _base(bases: Mapping[tuple[str, int], int | None], channel: str, version: int) -> int | None:
    return bases.get((channel, version))
