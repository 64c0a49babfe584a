"""Servers with an authentication of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth

from tests.auth.given import configured
from tests.conftest import connected, served

Protected = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def protected(tmp_path: Path) -> Protected:
    """Opens a client of a server that has the given `Auth` object."""

    @asynccontextmanager
    async def open_(auth: Auth, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with served(tmp_path, auth=configured(auth, **settings)) as app, connected(app) as client:
            yield client

    return open_
