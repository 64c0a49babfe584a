"""A server killed under a burst of writes: whatever was answered with success is there afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

from tests.faults.kill_points import EVERY_KILL_POINT, kill_after
from tests.processes import ServerProcess

BURST_S = 1.0
START_S = 1.5
"""About what a server needs to set up its database and answer."""
WRITERS = 4
"""Concurrent clients of each kind of write."""

Write = Callable[[], Awaitable[None]]


class Acknowledged:
    """What the server said it had done."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._numbers = count()
        self.space = str(uuid4())
        self.threads: dict[str, int] = {}
        self.deleted: list[str] = []
        self.items: dict[str, int] = {}
        self.states: dict[str, list[str]] = {}
        self.versions: dict[str, int] = {}

    async def send(self, method: str, path: str, body: Any) -> Any:
        response = await self._http.request(method, path, json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def create_thread(self) -> None:
        number = next(self._numbers)
        thread = await self.send("POST", "/threads", {"metadata": {"number": number}})
        self.threads[thread["thread_id"]] = number

    async def delete_thread(self) -> None:
        thread = await self.send("POST", "/threads", {})
        await self.send("DELETE", f"/threads/{thread['thread_id']}", None)
        self.deleted.append(thread["thread_id"])

    async def put_item(self) -> None:
        number = next(self._numbers)
        key = f"new{number}"
        await self.send("PUT", "/store/items", {"namespace": [self.space], "key": key, "value": {"n": number}})
        self.items[key] = number

    async def overwrite_item(self, key: str) -> None:
        number = next(self._numbers)
        await self.send("PUT", "/store/items", {"namespace": [self.space], "key": key, "value": {"n": number}})
        self.items[key] = number

    async def update_state(self, thread_id: str) -> None:
        body = {"values": {"log": [str(len(self.states[thread_id]))]}, "as_node": "s0"}
        answer = await self.send("POST", f"/threads/{thread_id}/state", body)
        self.states[thread_id].append(answer["checkpoint"]["checkpoint_id"])

    async def patch_assistant(self, assistant_id: str) -> None:
        changed = await self.send("PATCH", f"/assistants/{assistant_id}", {"name": f"n{next(self._numbers)}"})
        self.versions[assistant_id] = changed["version"]

    async def writers(self) -> list[Write]:
        """Everything that writes at the same time. Each has what it changes to itself."""
        found: list[Write] = []
        for writer in range(WRITERS):
            thread = await self.send("POST", "/threads", {"metadata": {"graph_id": "journaled"}})
            assistant = await self.send("POST", "/assistants", {"graph_id": "journaled"})
            self.states[thread["thread_id"]] = []
            found += [
                self.create_thread,
                self.delete_thread,
                self.put_item,
                partial(self.overwrite_item, f"own{writer}"),
                partial(self.update_state, thread["thread_id"]),
                partial(self.patch_assistant, assistant["assistant_id"]),
            ]
        return found


async def until_killed(write: Write) -> None:
    while True:
        try:
            await write()
        except httpx.TransportError:
            return


@EVERY_KILL_POINT
async def test_nothing_acknowledged_is_missing(kill_point: int, server: ServerProcess, http: httpx.AsyncClient) -> None:
    told = Acknowledged(http)
    writing = [asyncio.create_task(until_killed(write)) for write in await told.writers()]
    await asyncio.sleep(kill_after(kill_point, BURST_S))
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*writing)
    await asyncio.to_thread(server.start)

    for thread_id, number in told.threads.items():
        assert (await http.get(f"/threads/{thread_id}")).json()["metadata"] == {"number": number}
    for thread_id in told.deleted:
        assert (await http.get(f"/threads/{thread_id}")).status_code == 404
    body = {"namespace_prefix": [told.space], "limit": 100_000}
    items = {
        item["key"]: item["value"]["n"] for item in (await http.post("/store/items/search", json=body)).json()["items"]
    }
    for key, number in told.items.items():
        assert items[key] >= number  # the last overwriting may have been stored and not acknowledged
        assert key.startswith("own") or items[key] == number
    for thread_id, checkpoint_ids in told.states.items():
        history = (await http.post(f"/threads/{thread_id}/history", json={"limit": 1000})).json()
        stored = [state["checkpoint"]["checkpoint_id"] for state in reversed(history)]
        assert stored[: len(checkpoint_ids)] == checkpoint_ids
        assert len(stored) <= len(checkpoint_ids) + 1
        log = history[0]["values"]["log"] if history else []
        assert log == [str(number) for number in range(len(stored))]
    for assistant_id, version in told.versions.items():
        assert (await http.get(f"/assistants/{assistant_id}")).json()["version"] in (version, version + 1)


async def test_killed_while_it_starts_for_the_first_time(server: ServerProcess) -> None:
    fresh = ServerProcess(server.data_dir / "fresh")
    for kill_point in range(3):
        fresh.launch()
        await asyncio.sleep(kill_after(kill_point, START_S))
        await asyncio.to_thread(fresh.kill)
    await asyncio.to_thread(fresh.start)
    try:
        async with httpx.AsyncClient(base_url=fresh.url) as http:
            assert (await http.post("/threads", json={})).status_code == 200
            assert len((await http.post("/assistants/search", json={"limit": 100})).json()) > 1
    finally:
        fresh.kill()
