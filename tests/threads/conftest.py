from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from waystation.storage import tables
from waystation.storage.sqlite import SqliteDatabase


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """An empty database with all tables."""
    database = SqliteDatabase(tmp_path / "threads.db")
    await database.write(tables.metadata.create_all)
    yield database
    await database.close()
