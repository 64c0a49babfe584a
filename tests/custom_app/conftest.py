"""Servers with a custom app of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth

from tests.auth.given import configured as with_auth
from tests.conftest import connected, served
from tests.custom_app.given import configured

Customized = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def customized(tmp_path: Path) -> Customized:
    """Opens a client of a server that has the given app, with the given ``http`` settings; `auth` authenticates."""

    @asynccontextmanager
    async def open_(
        app: Any, *, auth: Auth | None = None, config: Any = None, **settings: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        changes = dict(config or {})
        if auth is not None:
            changes["auth"] = with_auth(auth)
        async with served(tmp_path, http=configured(app, **settings), **changes) as server, connected(server) as client:
            yield client

    return open_
