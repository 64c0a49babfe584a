"""Threads of a server in this process, and what they are stored in."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette

from tests.driver import Driver
from waystation.storage.database import Database


@pytest.fixture
def driver(http: httpx.AsyncClient) -> Driver:
    return Driver(http)


@pytest.fixture
def served_db(app: Starlette) -> Database:
    """The database of the server."""
    database: Database = app.state.server.db
    return database
