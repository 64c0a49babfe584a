"""A desk for each test."""

from __future__ import annotations

import pytest

from tests.deepagents.compile.given import Desk
from waystation.storage.database import Database


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db)
