"""Deleting the checkpoints of whole threads without keeping others from writing.

A thread with few rows is deleted at once. One with many is *set aside*: its rows get a thread id that nobody asks for. That is
one short statement, after which the thread has no checkpoints any more; its rows are then deleted a part at a time. What a
killed process has left set aside, any other finds and deletes.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from waystation.storage.checkpoints import queries
from waystation.storage.checkpoints.queries import SET_ASIDE
from waystation.storage.driver import Sql
from waystation.storage.tables import checkpoint_threads

__all__ = ["delete_set_aside", "delete_thread", "find_set_aside", "set_aside", "size"]

_KEYS = {
    "checkpoint_writes": "ns, checkpoint_id",
    "checkpoint_values": "ns, channel, version",
    "checkpoints": "ns, checkpoint_id",
    "checkpoint_runs": "run_key",
}
"""By table: what its rows are in order of, within a thread."""

_SIZE = Sql(
    "SELECT "
    + " + ".join(f"(SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE thread_key = ? LIMIT ?) AS t)" for table in _KEYS)
)
_DELETE_ALL = tuple(Sql(f"DELETE FROM {table} WHERE thread_key = ?") for table in _KEYS)
_DELETE_KEY = Sql("DELETE FROM checkpoint_threads WHERE thread_key = ?")
_SET_ASIDE = Sql("UPDATE checkpoint_threads SET thread_id = ? WHERE thread_key = ?")
_FIND_SET_ASIDE = Sql(
    f"SELECT thread_key FROM checkpoint_threads WHERE SUBSTR(thread_id, 1, {len(SET_ASIDE)}) = '{SET_ASIDE}'"
)
_LOCK = (
    select(checkpoint_threads.c.thread_key)
    .where(checkpoint_threads.c.thread_key == bindparam("key"), checkpoint_threads.c.thread_id.startswith(SET_ASIDE))
    .with_for_update(skip_locked=True)
)


class _Part:
    """The statements that delete some rows of a thread from one table."""

    def __init__(self, table: str, columns: str) -> None:
        marks = ", ".join("?" * len(columns.split(",")))
        self.count = Sql(f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE thread_key = ? LIMIT ?) AS t")
        self.last = Sql(f"SELECT {columns} FROM {table} WHERE thread_key = ? ORDER BY {columns} LIMIT 1 OFFSET ?")
        self.delete = Sql(f"DELETE FROM {table} WHERE thread_key = ? AND ({columns}) <= ({marks})")


_PARTS = tuple(_Part(table, columns) for table, columns in _KEYS.items())


def size(conn: Connection, thread_id: str, most: int) -> int:
    """How many rows the thread has in checkpoints; of each table no more than `most` are counted."""
    key = queries.thread_key(conn, thread_id)
    if key is None:
        return 0
    row = _SIZE.row(conn, *(value for _ in _KEYS for value in (key, most)))
    return int(row[0]) if row else 0


def delete_thread(conn: Connection, thread_id: str) -> None:
    """Delete everything that a thread has in checkpoints, at once. Nothing happens if it has nothing."""
    key = queries.thread_key(conn, thread_id)
    if key is not None:
        for statement in (*_DELETE_ALL, _DELETE_KEY):
            statement.run(conn, key)


def set_aside(conn: Connection, thread_id: str) -> int | None:
    """Take the thread its checkpoints; returns what `delete_set_aside` deletes them by, None if it has none."""
    key = queries.thread_key(conn, thread_id)
    if key is not None:
        _SET_ASIDE.run(conn, f"{SET_ASIDE}{key}", key)
    return key


def find_set_aside(conn: Connection) -> list[int]:
    """All that is set aside and not deleted yet. Reads through the ids of all threads."""
    return [row[0] for row in _FIND_SET_ASIDE.rows(conn)]


def delete_set_aside(conn: Connection, key: int, most: int) -> bool:
    """Delete about `most` rows of what was set aside; False when nothing is left, or another process is at it."""
    if conn.execute(_LOCK, {"key": key}).first() is None:
        return False
    for part in _PARTS:
        found = part.count.row(conn, key, most)
        count = int(found[0]) if found else 0
        if count:
            last = part.last.row(conn, key, count - 1)
            assert last is not None
            part.delete.run(conn, key, *last)
        most -= count
        if most <= 0:
            return True
    _DELETE_KEY.run(conn, key)
    return False
