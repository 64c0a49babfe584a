"""A server killed while it stores items: each item and its vectors are of one write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.faults.kill_points import EVERY_KILL_POINT, kill_after
from tests.processes import ServerProcess, running_server
from tests.store_semantic.conftest import PROJECT

WORDS = ("apple", "cat", "rain", "song")
BURST_S = 0.7


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    with running_server(tmp_path, config=PROJECT / "langgraph.json") as server:
        yield server


@EVERY_KILL_POINT
async def test_an_item_and_its_vectors_are_of_one_write(server: ServerProcess, kill_point: int) -> None:
    acknowledged: dict[str, int] = {}
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:

        async def overwrite(key: str) -> None:
            for number in count():
                value = {"text": WORDS[number % 4], "n": number}
                body = {"namespace": ["a"], "key": key, "value": value}
                (await http.put("/store/items", json=body)).raise_for_status()
                acknowledged[key] = number

        writers = [asyncio.create_task(overwrite(f"k{number}")) for number in range(4)]
        async with asyncio.timeout(20):
            while not acknowledged:  # noqa: ASYNC110 - the first write may take its time
                await asyncio.sleep(0.01)
        await asyncio.sleep(kill_after(kill_point, BURST_S))
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*writers, return_exceptions=True)
    assert acknowledged
    await asyncio.to_thread(server.start)
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        for topic, word in enumerate(WORDS):
            answer = await http.post("/store/items/search", json={"query": word})
            items = answer.json()["items"]
            assert acknowledged.keys() <= {item["key"] for item in items}
            for item in items:
                assert item["value"]["n"] >= acknowledged.get(item["key"], 0)
                assert item["score"] == (1.0 if item["value"]["n"] % 4 == topic else 0.0)
