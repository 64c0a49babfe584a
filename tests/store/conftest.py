from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import metadata
from waystation.store.store import Store


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "store.db")
    await database.write(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
async def store(db: SqliteDatabase) -> Store:
    return Store(db)
