"""PostgreSQL for the tests that are about it, whichever database the others run on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import database_uri
from waystation.storage.postgres import PostgresDatabase


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A PostgreSQL database with all tables."""
    return database_uri(tmp_path)


@pytest.fixture
async def postgres(uri: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(uri, readers=2)
    yield database
    await database.close()


@pytest.fixture
async def other(uri: str) -> AsyncIterator[PostgresDatabase]:
    """The same database, as another process has it."""
    database = PostgresDatabase(uri, readers=2)
    yield database
    await database.close()
