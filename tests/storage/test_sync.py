"""Commits to SQLite that wait for the disk, if the settings ask for it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.conftest import project_config
from waystation.databases import open_database

pytestmark = pytest.mark.sqlite

NORMAL, FULL = 1, 2
"""Values of SQLite's ``synchronous``."""


def how(conn: Connection) -> tuple[int, int]:
    """What the connection waits for, and on which thread."""
    return conn.exec_driver_sql("PRAGMA synchronous").scalar_one(), threading.get_ident()


@pytest.mark.parametrize(("sync", "level"), [(False, NORMAL), (True, FULL)])
async def test_what_a_commit_waits_for(tmp_path: Path, sync: bool, level: int) -> None:
    """Nobody waits for the disk on a thread of the caller's."""
    db, lock = open_database(project_config(tmp_path, sqlite_sync=sync))
    assert lock is not None
    try:
        assert (await db.write(how))[0] == level
        few, thread = await db.write_few(how)
        assert few == level
        assert (thread == threading.get_ident()) is not sync
    finally:
        await db.close()
        lock.close()
