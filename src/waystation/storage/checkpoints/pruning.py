"""Deleting all checkpoints of a thread but the newest, a part at a time.

The newest checkpoint of every namespace stays, with what it is rebuilt from. Each part looks at the thread as it is then, and
leaves it in a state in which every checkpoint that is still there can be read: so runs may go on in between.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection

from waystation.storage.checkpoints import queries
from waystation.storage.checkpoints.compression import Compression
from waystation.storage.checkpoints.records import ABSENT, Record, used_versions
from waystation.storage.driver import Sql
from waystation.storage.sealing import CHECKPOINT, open_blobs

__all__ = ["BEGINNING", "Place", "keep_latest"]

NAMESPACE_COST = 10
"""Looking at a namespace takes as long as deleting so many rows."""


class Place(Struct, frozen=True):
    """How far the pruning of a thread has come: up to this namespace, or through all of them."""

    ns: str = ""
    through: bool = False


BEGINNING = Place()

_NAMESPACE_FROM = Sql("SELECT MIN(ns) FROM checkpoints WHERE thread_key = ? AND ns >= ?")
_NAMESPACE_AFTER = Sql("SELECT MIN(ns) FROM checkpoints WHERE thread_key = ? AND ns > ?")
_NEWEST = Sql(
    "SELECT checkpoint_id FROM checkpoints WHERE thread_key = ? AND ns = ? ORDER BY checkpoint_id DESC LIMIT 1"
)
_OLDEST = Sql("SELECT checkpoint_id FROM checkpoints WHERE thread_key = ? AND ns = ? ORDER BY checkpoint_id LIMIT ?")
_RECORD = Sql("SELECT parent_id, data FROM checkpoints WHERE thread_key = ? AND ns = ? AND checkpoint_id = ?")
_RECORDS = Sql("SELECT data FROM checkpoints WHERE thread_key = ? AND ns = ?")
_VALUES = Sql(
    "SELECT channel, version FROM checkpoint_values WHERE thread_key = ? AND ns = ? ORDER BY channel, version LIMIT ?"
)
_BASE = Sql("SELECT base FROM checkpoint_values WHERE thread_key = ? AND ns = ? AND channel = ? AND version = ?")
_DELETE_CHECKPOINTS = Sql("DELETE FROM checkpoints WHERE thread_key = ? AND ns = ? AND checkpoint_id BETWEEN ? AND ?")
_DELETE_WRITES = Sql("DELETE FROM checkpoint_writes WHERE thread_key = ? AND ns = ? AND checkpoint_id BETWEEN ? AND ?")
_DELETE_VALUES = Sql(
    "DELETE FROM checkpoint_values WHERE thread_key = ? AND ns = ? AND channel = ? AND version BETWEEN ? AND ?"
)
_UNUSED_RUNS = Sql(
    "SELECT run_key FROM checkpoint_runs WHERE thread_key = ?"
    " AND run_key NOT IN (SELECT run_key FROM checkpoints WHERE thread_key = ?)"
    " AND run_key NOT IN (SELECT run_key FROM checkpoint_writes WHERE thread_key = ?)"
    " LIMIT ?"
)
_DELETE_RUN = Sql("DELETE FROM checkpoint_runs WHERE thread_key = ? AND run_key = ?")


def keep_latest(conn: Connection, thread_id: str, most: int, place: Place = BEGINNING) -> tuple[int, Place | None]:
    """Go on with the pruning of a thread at `place` until some `most` rows are deleted.

    Returns how many it was, looking at namespaces included, and where to go on; None when the thread is pruned.
    """
    key = queries.thread_key(conn, thread_id)
    if key is None:
        return 0, None
    done = 0
    ns = None if place.through else _first(_NAMESPACE_FROM.row(conn, key, place.ns))
    while ns is not None:
        room = max(most - done, 1)
        deleted = _prune_namespace(conn, key, ns, room)
        done += deleted + NAMESPACE_COST
        following: str | None = _first(_NAMESPACE_AFTER.row(conn, key, ns))
        if deleted >= room:
            return done, Place(ns)
        if done >= most:
            return done, Place(through=True) if following is None else Place(following)
        ns = following
    room = max(most - done, 1)
    unused = _UNUSED_RUNS.rows(conn, key, key, key, room)
    for (run_key,) in unused:
        _DELETE_RUN.run(conn, key, run_key)
    return done + len(unused), Place(through=True) if len(unused) == room else None


def _first(row: Sequence[Any] | None) -> Any:
    return row[0] if row else None


def _prune_namespace(conn: Connection, key: int, ns: str, most: int) -> int:
    """Delete at most `most` rows that the newest checkpoint does without; returns how many, writes not counted."""
    compression = Compression()
    kept = _rebuilt_from(conn, key, ns, compression)
    oldest: list[bytes] = [row[0] for row in _OLDEST.rows(conn, key, ns, most + len(kept))]
    old = 0
    for checkpoint_ids in _stretches(oldest, kept, most):
        _DELETE_CHECKPOINTS.run(conn, key, ns, checkpoint_ids[0], checkpoint_ids[-1])
        _DELETE_WRITES.run(conn, key, ns, checkpoint_ids[0], checkpoint_ids[-1])
        old += len(checkpoint_ids)
    room = most - old
    if room == 0:
        return most
    used = _used_values(conn, key, ns, compression)
    versions: dict[str, list[int]] = {}
    for channel, version in _VALUES.rows(conn, key, ns, room + sum(map(len, used.values()))):
        versions.setdefault(channel, []).append(version)
    for channel, found in versions.items():
        for unused in _stretches(found, used.get(channel, set()), room):
            _DELETE_VALUES.run(conn, key, ns, channel, unused[0], unused[-1])
            room -= len(unused)
    return most - room


T = TypeVar("T", int, bytes)


def _stretches(found: Sequence[T], kept: Set[T], most: int) -> list[list[T]]:
    """What is `found`, in order, cut where something is kept; `most` at all."""
    stretches: list[list[T]] = [[]]
    for each in found:
        if each in kept:
            stretches.append([])
        elif most > 0:
            stretches[-1].append(each)
            most -= 1
    return [stretch for stretch in stretches if stretch]


def _rebuilt_from(conn: Connection, key: int, ns: str, compression: Compression) -> set[bytes]:
    """The newest checkpoint, and its ancestors up to those that hold a value of each of its delta channels."""
    needed: set[bytes] = set()
    missing: set[str] | None = None
    current: bytes | None = _first(_NEWEST.row(conn, key, ns))
    while current is not None and missing != set():
        row = _RECORD.row(conn, key, ns, current)
        if row is None:
            break
        needed.add(bytes(current))
        parent, record = row[0], Record.unpack(open_blobs(CHECKPOINT, [row[1]])[0], compression)
        if missing is None:
            missing = set(record.delta_channels)
        else:
            missing -= {channel for channel, presence in record.presence.items() if presence != ABSENT}
        current = parent
    return needed


def _used_values(conn: Connection, key: int, ns: str, compression: Compression) -> dict[str, set[int]]:
    """By channel: the versions that a checkpoint of the namespace needs, bases included."""
    stored = open_blobs(CHECKPOINT, [data for (data,) in _RECORDS.rows(conn, key, ns)])
    records = (Record.unpack(data, compression) for data in stored)
    return used_versions(records, lambda channel, version: _first(_BASE.row(conn, key, ns, channel, version)))
