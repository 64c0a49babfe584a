"""The official client, in both generations of the protocol, against a server on a real socket."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from mcp.client.client import Client

from tests.live import LiveServer

__all__ = ["ACCEPT", "Connect", "call", "rpc"]

Connect = Callable[[], AbstractAsyncContextManager[Client]]

ACCEPT = {"Accept": "application/json, text/event-stream"}

MODES = ["legacy", "auto"]
"""With the handshake of the revisions up to 2025-11-25, and as the client finds out by itself: 2026-07-28."""


@pytest.fixture(params=MODES)
def connect(live_server: LiveServer, request: pytest.FixtureRequest) -> Connect:
    return lambda: Client(f"{live_server.url}/mcp", mode=request.param)


async def rpc(http: httpx.AsyncClient, method: str, params: Any = None, **headers: str) -> Any:
    """The answer to a request, as JSON."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    response = await http.post("/mcp", json=body, headers={**ACCEPT, **headers})
    assert response.status_code == 200, response.text
    return response.json()


async def call(http: httpx.AsyncClient, tool: str, arguments: Any, **headers: str) -> Any:
    """The result of calling a tool."""
    return (await rpc(http, "tools/call", {"name": tool, "arguments": arguments}, **headers))["result"]
