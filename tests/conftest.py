"""Fixtures for tests that drive a whole server in this process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.client import HttpClient

from waystation.app import create_app
from waystation.config import Config, load_config

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Serve = Callable[..., AbstractAsyncContextManager[FastAPI]]


def project_config(data_dir: Path, **changes: Any) -> Config:
    """The test project's configuration with its data in `data_dir`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "LANGCHAIN"))}
    return replace(load_config(PROJECT, environ), data_dir=data_dir, shutdown_grace_s=0.0, **changes)


@asynccontextmanager
async def served(data_dir: Path, **changes: Any) -> AsyncIterator[FastAPI]:
    """The test project's application, started; stopped in good order at the end."""
    app = create_app(project_config(data_dir, **changes))
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of `app`, without a network."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://waystation", timeout=30) as client:
        yield client


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with served(tmp_path) as app:
        yield app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(app) as client:
        yield client


@pytest.fixture
def sdk(http: httpx.AsyncClient) -> LangGraphClient:
    """The official client, talking to the server in this process."""
    return LangGraphClient(http)
