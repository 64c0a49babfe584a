"""Servers whose graphs call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient

from tests.conftest import project_config
from tests.live import listening
from waystation.app import create_app
from waystation.config import GraphSpec

__all__ = ["GRAPHS", "calling_itself", "client_of"]

NAMES = ("caller", "answerer", "marked", "blocking", "threads", "relay", "waiter", "leaving", "late")
GRAPHS = {name: GraphSpec(name, f"tests.loopback.graphs:{name}") for name in NAMES}


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[LangGraphClient]:
    async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as http:
        yield LangGraphClient(http)


@asynccontextmanager
async def calling_itself(data_dir: Path, **changes: Any) -> AsyncIterator[LangGraphClient]:
    """A client of a server on a real socket, with a thread and an event loop of its own."""
    prefix = changes["http"].mount_prefix if "http" in changes else ""
    config = project_config(data_dir, **{"graphs": GRAPHS, "heartbeat_s": 0.2, **changes})
    with listening(create_app(config)) as server:
        async with client_of(server.url + prefix) as client:
            yield client
