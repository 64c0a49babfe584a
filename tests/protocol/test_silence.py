"""Streams on which nothing happens, or nothing that is wanted, still say now and then that they are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.conftest import project_config
from tests.driver import PATIENCE_S, Driver
from tests.live import listening
from tests.protocol.client import Client
from waystation.app import create_app

CHAT = {"messages": [{"role": "user", "content": "40"}]}


@asynccontextmanager
async def lines_of(client: Client, channels: list[str]) -> AsyncIterator[AsyncIterator[str]]:
    path = f"/threads/{client.thread_id}/stream/events"
    async with client.http.stream("POST", path, json={"channels": channels}) as response:
        yield response.aiter_lines()


async def test_a_quiet_stream_has_heartbeats(tmp_path: Path) -> None:
    with listening(create_app(project_config(tmp_path, heartbeat_s=0.1))) as server:
        async with httpx.AsyncClient(base_url=server.url) as http, asyncio.timeout(PATIENCE_S):
            client = Client(http, Driver.new_id())
            async with lines_of(client, ["tools"]) as lines:
                for _ in range(3):
                    assert (await anext(lines)).startswith(":")
                    assert await anext(lines) == ""
                await client.run("slow_chat", CHAT)
                busy = [await anext(lines) for _ in range(6)]
                assert {line[:1] for line in busy} == {":", ""}, "what else happens is not wanted"
