from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import open_database
from waystation.storage.database import Database


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database with all tables."""
    database = open_database(tmp_path / "threads.db")
    yield database
    await database.close()
