"""Clients that read slowly, or late, on a server that keeps few events in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import project_config
from tests.driver import Driver, eventually
from tests.live import LiveServer, listening
from tests.protocol.client import Client, Envelope, kinds, of, taken
from waystation.app import create_app
from waystation.protocol import reader as reading

KEPT = 200


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    config = project_config(tmp_path_factory.mktemp("forgetful"), event_buffer=KEPT)
    with listening(create_app(config)) as server:
        yield server


@pytest.fixture
async def client(forgetful: LiveServer) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=forgetful.url, timeout=30, verify=False) as http:
        yield Client(http, Driver.new_id())


async def test_what_is_no_longer_in_memory_comes_from_the_database(client: Client) -> None:
    async with client.events() as events:
        await client.run("chat", {"messages": [{"role": "user", "content": "500"}]})
        live = await taken(events)
        assert len(live) > 4 * KEPT
        assert await client.until() == live
        for index in (0, len(live) // 2, len(live) - KEPT - 2, len(live) - KEPT, len(live) - 2):
            assert await client.until(since=live[index]["seq"]) == live[index + 1 :], index
    assert await client.until() == live


@asynccontextmanager
async def not_reading(client: Client, url: str) -> AsyncIterator[asyncio.StreamReader]:
    """An open stream of custom events, of which nothing is read yet."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    body = json.dumps({"channels": ["custom"]}).encode()
    path = f"/threads/{client.thread_id}/stream/events"
    try:
        writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def read(reader: asyncio.StreamReader, last: str) -> list[Envelope]:
    """The events up to the one that contains `last`."""
    found: list[Envelope] = []
    left = b""
    while not found or last not in json.dumps(found[-1]):
        piece = await asyncio.wait_for(reader.read(65536), 30)
        assert piece, "the stream ended"
        left += piece
        *lines, left = left.split(b"\r\n")
        found += [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    return found


def numbers(events: list[Envelope]) -> list[int]:
    return [each["payload"]["number"] for each in of(events, "custom")]


async def test_a_client_that_does_not_read_for_a_while_misses_nothing(client: Client, forgetful: LiveServer) -> None:
    async with not_reading(client, forgetful.url) as reader:
        await client.run("flooding", {"x": [1500, 10_000]})
        assert kinds(await client.until(channels=["lifecycle"])) == ["running", "completed"]
        with forgetful.app.state.server.sessions.reading(client.thread_id) as session:
            assert len(session.frames) == KEPT
        assert numbers(await read(reader, '"number": 1499')) == list(range(1500))


async def test_a_client_that_is_too_slow_is_told_and_can_go_on(
    client: Client, forgetful: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FALLS", 0)
    async with not_reading(client, forgetful.url) as reader:
        await client.run("flooding", {"x": [1500, 10_000]})
        await Driver(client.http).settled(client.thread_id)
        *seen, gap = await read(reader, "resume_gap")
    assert (gap["type"], gap["id"]) == ("error", None)
    assert gap["since"] >= (seen[-1]["seq"] if seen else 0), "the last that was looked at, wanted or not"
    assert gap["min_available_seq"] > gap["since"]
    monkeypatch.undo()
    rest = await client.until(
        lambda event: event["params"]["data"]["payload"]["number"] == 1499, channels=["custom"], since=gap["since"]
    )
    assert numbers(seen + rest) == list(range(1500))


async def test_nobody_reads_any_more(client: Client, forgetful: LiveServer) -> None:
    """Following a thread costs nothing once nobody does."""
    async with client.events() as events:
        await client.run("echo", {"x": "a"})
        await taken(events)
    bus = forgetful.app.state.server.bus

    async def quiet() -> bool:
        return bool(bus.subscribers == 0)

    await eventually(quiet, "the end of the subscription")
