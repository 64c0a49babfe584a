"""A server with agents on the demo model, and its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from managed_deepagents import AsyncClient
from starlette.applications import Starlette

from tests.conftest import connected, served


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    async with served(tmp_path, default_model="demo:chat") as app:
        yield app


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(app) as client:
        yield client


@pytest.fixture
def managed(http: httpx.AsyncClient) -> AsyncClient:
    """The vendor's client."""
    return AsyncClient(api_url="http://waystation", http_client=http)


@pytest.fixture
def sdk(http: httpx.AsyncClient) -> LangGraphClient:
    """The client of the Agent Server API."""
    return LangGraphClient(http)
