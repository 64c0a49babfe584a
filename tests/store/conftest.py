from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from waystation.config import Config
from waystation.http.application import application
from waystation.http.unknown_fields import UnknownFields
from waystation.storage.database import Database
from waystation.store import Store
from waystation.store.routes import router


@pytest.fixture
async def store(db: Database) -> Store:
    return Store(db)


@pytest.fixture
async def api(store: Store, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the store's routes alone."""
    server = SimpleNamespace(config=Config(tmp_path), store=store, unknown_fields=UnknownFields())
    app = application([router], server)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as client:
        yield client
