"""A database in a file, and savers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from waystation.storage.checkpoints import Saver
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "checkpoints.sqlite")
    upgrade(database)
    yield database
    await database.close()


@pytest.fixture
def saver(db: SqliteDatabase) -> Saver:
    return Saver(db)
