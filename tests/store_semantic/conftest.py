"""Stores and servers with an index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.conftest import connected, served
from waystation.config import GraphSpec, IndexConfig, StoreConfig
from waystation.graphs.modules import Modules
from waystation.storage.database import Database
from waystation.store import Store
from waystation.store.semantic.index import Index
from waystation.store.semantic.opening import open_index
from waystation.store.semantic.project import load_embedder

PROJECT = Path(__file__).parent / "project"

Opened = Callable[..., Store]
"""Opens the store of a database, with an embedder of ``project/embedders.py`` and fields."""

WithIndex = Callable[..., AbstractAsyncContextManager[LangGraphClient]]


@pytest.fixture
def modules() -> Modules:
    return Modules(PROJECT, ())


@pytest.fixture
def embedders(modules: Modules) -> Any:
    """The module of the embedders that `opened` uses, which keeps what it was asked for."""
    return modules.load("embedders", "./embedders.py:embed")[0]


@pytest.fixture
def opened(modules: Modules) -> Iterator[Opened]:
    indexes: list[Index] = []

    def open_(db: Database, embed: str = "embed", *fields: str, **settings: Any) -> Store:
        config = IndexConfig(4, f"./embedders.py:{embed}", fields or ("$",))
        indexes.append(open_index(db, config, load_embedder(config, modules)))
        return Store(db, index=indexes[-1], **settings)

    yield open_
    for index in indexes:
        index.close()


@pytest.fixture
async def store(db: Database, opened: Opened) -> Store:
    return opened(db)


@pytest.fixture
def with_index(tmp_path: Path) -> WithIndex:
    """Serves the project; the official client of it."""

    @asynccontextmanager
    async def open_(embed: str = "embed", *fields: str) -> AsyncIterator[LangGraphClient]:
        index = IndexConfig(4, f"{PROJECT}/embedders.py:{embed}", fields or ("$",))
        graphs = {name: GraphSpec(name, f"{PROJECT}/graphs.py:{name}") for name in ("memory", "memory_async")}
        async with (
            served(tmp_path, store=StoreConfig(index=index), graphs=graphs) as app,
            connected(app) as http,
        ):
            yield LangGraphClient(http)

    return open_


@pytest.fixture
async def sdk(with_index: WithIndex) -> AsyncIterator[LangGraphClient]:
    async with with_index() as client:
        yield client


@pytest.fixture
def http(sdk: LangGraphClient) -> httpx.AsyncClient:
    return sdk.http.client
