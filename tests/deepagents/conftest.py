"""Clients of the Managed Deep Agents API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from managed_deepagents import AsyncClient
from starlette.applications import Starlette

from tests.auth.test_api_keys import make_key
from tests.conftest import connected, served
from tests.deepagents.contract import check

__all__ = ["BASE", "EVERYTHING", "Connect", "Keyed", "contractual"]

BASE = "/v1/deepagents"

Connect = Callable[..., AsyncClient]

Keyed = Callable[..., AbstractAsyncContextManager[tuple[httpx.AsyncClient, Callable[..., Awaitable[str]]]]]

URL = "https://mcp.example.com/mcp"

EVERYTHING: dict[str, Any] = {
    "description": "knows everything",
    "runtime": {"model": {"model_id": "openai:gpt-5.5"}},
    "backend": {"type": "sandbox", "sandbox_config": {"scope": "agent", "idle_ttl_seconds": 60, "policy_ids": ["p"]}},
    "system_prompt": "Be kind.\n",
    "tools": {"tools": [{"name": "look", "mcp_server_url": URL}], "interrupt_config": {f"{URL}::look": True}},
    "subagents": [
        {
            "name": "reader",
            "description": 'reads: "all"',
            "model_id": "openai:mini",
            "instructions": "---\nRead.",
            "tools": {"tools": [{"name": "read", "mcp_server_url": URL}]},
        }
    ],
    "skills": [
        {"name": "sums", "description": "yes", "instructions": "\nAdd.", "files": {"scripts/add.py": "print(1 + 1)\n"}}
    ],
    "extras": {"team": None, "cost": 3},
    "configurable": {"temperature": 0},
    "files": {"notes/one.md": "first"},
}
"""Every field of a new agent but its name."""


async def contractual(response: httpx.Response) -> None:
    """For a client's event hooks."""
    check(response, await response.aread())


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Raw HTTP, every answer of which is checked against the contract."""
    async with connected(app) as client:
        client.event_hooks["response"].append(contractual)
        yield client


@pytest.fixture
def connect(http: httpx.AsyncClient) -> Connect:
    """Makes the vendor's clients."""

    def make(base: str = "http://waystation", **options: Any) -> AsyncClient:
        return AsyncClient(api_url=base, http_client=http, **options)

    return make


@pytest.fixture
def client(connect: Connect) -> AsyncClient:
    """The vendor's client."""
    return connect()


@pytest.fixture
def keyed(tmp_path: Path) -> Keyed:
    """Opens a server with API keys: raw HTTP, and what makes keys."""

    @asynccontextmanager
    async def open_(**changes: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Callable[..., Awaitable[str]]]]:
        async with served(tmp_path, api_keys=True, **changes) as app, connected(app) as http:
            http.event_hooks["response"].append(contractual)

            async def make(workspace: str, user: str | None) -> str:
                return await make_key(app, workspace, user)

            yield http, make

    return open_
