"""Clients that do not read, and servers that go away: nobody waits for ever, and the memory is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.conftest import project_config
from tests.driver import Driver, eventually
from tests.gate import Gate
from tests.live import listening
from tests.sse import parse
from waystation.app import create_app
from waystation.streams.bus import MemoryBus
from waystation.streams.events import Event, RunEnd

THREAD, RUN = "thread", "run"


def event(position: int, size: int = 1, end: RunEnd | None = None) -> Event:
    return Event(position, THREAD, RUN, "custom", b"x" * size, end=end)


async def test_a_subscription_that_is_not_read_is_cut_off() -> None:
    bus = MemoryBus(backlog_bytes=100)
    with bus.subscribe(THREAD, RUN) as slow, bus.subscribe(THREAD, RUN) as quick:
        for position in range(20):
            bus.publish([event(position, 10)])
            assert [e.position for e in await quick.batch(1)] == [position]
        assert slow.overflowed
        assert not quick.overflowed
        assert [e.position for e in await slow.batch(1)] == list(range(10)), "what fitted, in order, without a gap"
        assert await slow.batch(1) == []
        assert slow.over


async def test_the_end_of_a_run_always_fits() -> None:
    bus = MemoryBus(backlog_bytes=100)
    with bus.subscribe(THREAD, RUN) as full:
        bus.publish([event(1, 100), event(2, 0, RunEnd("success"))])
        assert [e.position for e in await full.batch(1)] == [1, 2]


async def test_a_batch_is_all_that_has_arrived() -> None:
    bus = MemoryBus()
    with bus.subscribe(THREAD) as subscription:
        assert await subscription.batch(0.01) == []
        waiting = asyncio.create_task(subscription.batch(5))
        await asyncio.sleep(0)
        bus.publish([event(1), event(2)])
        assert [e.position for e in await waiting] == [1, 2]
        bus.publish([event(3), Event(4, "another thread", RUN, "custom", b"")])
        assert [e.position for e in await subscription.batch(5)] == [3]


async def test_publishing_from_many_threads_loses_nothing() -> None:
    bus = MemoryBus()
    with bus.subscribe(THREAD) as subscription:

        def publish(first: int) -> None:
            for position in range(first, first + 500):
                bus.publish([event(position)])

        publishing = [asyncio.create_task(asyncio.to_thread(publish, first)) for first in (0, 1000, 2000)]
        seen: list[int] = []
        while len(seen) < 1500:
            batch = await subscription.batch(5)
            assert batch, "an event was lost"
            seen += [e.position for e in batch]
        await asyncio.gather(*publishing)
    assert len(set(seen)) == 1500


async def test_a_client_that_does_not_read_is_cut_off_and_the_run_goes_on(tmp_path: Path) -> None:
    app = create_app(project_config(tmp_path))
    app.state.server.bus.backlog_bytes = 200_000
    body = {
        "assistant_id": "flooding",
        "input": {"x": [600, 20_000]},
        "stream_mode": "custom",
        "stream_resumable": True,
    }
    with listening(app) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False) as client:
            driver = Driver(client)
            thread = await driver.thread()
            async with client.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
                await driver.settled(thread)
                received = b"".join([piece async for piece in response.aiter_raw()])
            events = parse(received)
            assert events[-1].name == "error"
            assert events[-1].data["error"] == "SlowConsumer"
            numbers = [e.data["number"] for e in events if e.name == "custom"]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) < 600
            (run,) = await driver.runs(thread)
            assert run["status"] == "success"
            rest = await driver.rejoin(thread, run["run_id"], events[-2].id)
            assert [e.data["number"] for e in rest if e.name == "custom"] == list(range(len(numbers), 600))


@pytest.mark.parametrize("path", ["/threads/{thread}/stream", "/threads/{thread}/runs/{run}/stream"])
async def test_open_streams_end_when_the_server_stops(tmp_path: Path, gate: Gate, path: str) -> None:
    with listening(create_app(project_config(tmp_path))) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False) as client:
            driver = Driver(client)
            thread = await driver.thread()
            run = await driver.start(thread, "gated", gate.state)
            await gate.reached()
            bus = server.app.state.server.bus
            async with driver.streaming("GET", path.format(thread=thread, run=run["run_id"])) as events:

                async def subscribed() -> bool:
                    return bool(bus.subscribers == 1)

                await eventually(subscribed, "the subscription")
                server.app.state.server.begin_shutdown()
                assert [e async for e in events] == []
