"""Savers on a database."""

from __future__ import annotations

import pytest

from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database


@pytest.fixture
def saver(db: Database) -> Saver:
    return Saver(db)
