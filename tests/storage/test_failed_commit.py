"""A commit that fails is told to its callers and does not stand in the way of the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection

from waystation.auth.access import EVERYTHING
from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import metadata
from waystation.threads import queries

THREAD = "01a2001c-7359-728d-a2b8-135a85bee06d"


def orphan(conn: Connection) -> None:
    """A run of no thread, found out only at the commit."""
    raw = conn.connection.dbapi_connection
    assert raw is not None
    raw.execute("PRAGMA defer_foreign_keys = ON")
    names = "run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy"
    raw.execute(
        f"INSERT INTO runs ({names}, created_at, updated_at, attempt) "
        "VALUES ('none', 'none', 'a', 'g', 'pending', '{}', '{}', 'enqueue', 1, 1, 0)"
    )


async def test_writes_go_on_after_a_commit_that_failed(tmp_path: Path) -> None:
    db = SqliteDatabase(tmp_path / "test.db")
    try:
        await db.write(metadata.create_all)
        for _ in range(2):  # what SQLAlchemy takes part in, and what it does not
            with pytest.raises(Exception, match="FOREIGN KEY"):
                await db.write(orphan)
        assert await db.write(queries.create, queries.new_row(THREAD, {}, None, 1), "raise", EVERYTHING) is None
        assert await db.read(queries.visible, [THREAD], EVERYTHING) == [THREAD]
        assert await db.read(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM runs").scalar()) == 0
    finally:
        await db.close()
