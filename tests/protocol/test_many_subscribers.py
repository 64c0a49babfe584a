"""Many clients on one busy thread: all see everything in order, and the thread is read only once for all of them."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

from tests.live import LiveServer
from tests.protocol.client import ALL, Client

SUBSCRIBERS = 200
EVENTS = 300

END = b"lc||completed"


async def followed(url: str, thread_id: str, ready: asyncio.Semaphore) -> list[bytes]:
    """The data lines of a stream, up to the end of a run. `ready` is released once the stream is open."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps({"channels": ALL}).encode()
    head = f"POST /threads/{thread_id}/stream/events HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        ready.release()
        lines: list[bytes] = []
        while not lines or END not in lines[-1]:
            line = await reader.readline()
            assert line, "the stream ended"
            if line.startswith(b"data: "):
                lines.append(line)
        return lines
    finally:
        writer.close()
        await writer.wait_closed()


async def test_two_hundred_subscribers_miss_nothing(client: Client, live_server: LiveServer) -> None:
    server = live_server.app.state.server
    others = server.bus.subscribers
    ready = asyncio.Semaphore(0)
    streams = [asyncio.create_task(followed(live_server.url, client.thread_id, ready)) for _ in range(SUBSCRIBERS)]
    for _ in range(SUBSCRIBERS):
        await ready.acquire()
    assert server.bus.subscribers - others <= 1
    await client.run("flooding", {"x": [EVENTS, 100]})
    everything = await asyncio.gather(*streams)
    whole = [json.loads(line[6:]) for line in everything[0]]
    assert [lines == everything[0] for lines in everything] == [True] * SUBSCRIBERS
    numbers = [each["params"]["data"]["payload"]["number"] for each in whole if each["method"] == "custom"]
    assert numbers == list(range(EVENTS))
    assert whole == await client.until()
