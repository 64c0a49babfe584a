"""A database in a file, and savers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import open_database
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "checkpoints.sqlite")
    yield database
    await database.close()


@pytest.fixture
def saver(db: Database) -> Saver:
    return Saver(db)
