"""Redis is gone while runs go on: they finish, states are right, clients get everything that is stored, and a word about the
rest. When it is back, everything is as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bus.events import until
from tests.bus.fleet import SIGNALS_ONLY, Fleet
from tests.bus.redis_server import RedisServer
from tests.driver import Driver
from tests.gate import Gate
from tests.live import LiveServer
from tests.sse import HEARTBEAT, INTERRUPTED, SseEvent, parse


class Deployment:
    """An API process and a worker, and the Redis between them."""

    def __init__(self, fleet: Fleet, redis: RedisServer) -> None:
        self.fleet = fleet
        self.redis = redis
        self.servers: list[LiveServer] = [fleet.start("api", heartbeat_s=0.5), fleet.worker(SIGNALS_ONLY)]

    async def lose_redis(self) -> None:
        self.redis.kill()
        await until(lambda: not any(each.app.state.server.bus.connected for each in self.servers), "the loss")

    async def restore_redis(self, *, keep_data: bool = False) -> None:
        await self.redis.restart(keep_data=keep_data)
        await until(lambda: all(each.app.state.server.bus.connected for each in self.servers), "the return")


@pytest.fixture
async def deployment(tmp_path: Path, own_redis: RedisServer, key_prefix: str) -> AsyncIterator[Deployment]:
    with Fleet(tmp_path, own_redis.url, key_prefix) as fleet:
        yield Deployment(fleet, own_redis)


@pytest.fixture
async def driver(deployment: Deployment) -> AsyncIterator[Driver]:
    async with deployment.fleet.driver(deployment.servers[0]) as driver:
        yield driver


async def test_everything_goes_on_without(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    await deployment.lose_redis()
    thread = await driver.thread()
    assert (await driver.wait(thread, "echo", {"x": "a"}))["x"] == "a!"
    events = await driver.stream(thread, "flooding", {"x": [50, 10]}, stream_mode="custom", stream_resumable=True)
    assert [event.data["number"] for event in events[1:]] == list(range(50))
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    assert (await driver.cancel(thread, run["run_id"], wait="true")).json()["log"] == ["flooded", "first"]
    assert (await driver.show(thread))["status"] == "interrupted"
    assert await driver.statuses(thread) == ["success", "success", "interrupted"]
    run = await driver.start(thread, "echo", {"x": "b"})
    assert (await driver.join(thread, run["run_id"]))["x"] == "b!"
    late = await driver.start(thread, "echo", {"x": "c"}, after_seconds=1)
    assert (await driver.join(thread, late["run_id"]))["x"] == "c!"
    assert (await driver.http.delete(f"/threads/{thread}/runs/{late['run_id']}")).status_code == 204


@pytest.mark.parametrize("keep_data", [True, False])
async def test_a_resumable_stream_is_complete(
    deployment: Deployment, driver: Driver, gate: Gate, keep_data: bool
) -> None:
    """It is created before the outage, and there are others that join: none misses anything or sees anything twice."""
    thread = await driver.thread()
    body = {"assistant_id": "ticking", "input": gate.state, "stream_mode": "custom", "stream_resumable": True}
    url = f"/threads/{thread}/runs/stream"

    async def follow(method: str, url: str, *, goes_on: asyncio.Event, **request: object) -> list[SseEvent]:
        seen: list[SseEvent] = []
        async with driver.http.stream(method, url, **request) as response:  # type: ignore[arg-type]
            left = b""
            async for piece in response.aiter_raw():
                *blocks, left = (left + piece).split(b"\r\n\r\n")
                for block in blocks:
                    assert not block.startswith(b":") or block == HEARTBEAT
                    seen += parse(block + b"\r\n\r\n")
                if len(seen) > 20:
                    goes_on.set()
        return seen

    first, second = asyncio.Event(), asyncio.Event()
    creator = asyncio.create_task(follow("POST", url, goes_on=first, json=body))
    await first.wait()
    (run,) = await driver.runs(thread)
    path, headers = f"/threads/{thread}/runs/{run['run_id']}/stream", {"Last-Event-ID": "-1"}
    joiner = asyncio.create_task(follow("GET", path, goes_on=second, headers=headers))
    await second.wait()
    await deployment.lose_redis()
    third = asyncio.Event()
    late = asyncio.create_task(follow("GET", path, goes_on=third, headers=headers))
    await third.wait()
    await asyncio.sleep(1.5)
    await deployment.restore_redis(keep_data=keep_data)
    await asyncio.sleep(0.5)
    gate.open()
    logs = await asyncio.gather(creator, joiner, late)
    ticks = [event.data["tick"] for event in logs[0] if event.name == "custom"]
    assert ticks == list(range(len(ticks)))
    assert logs[1] == logs[2] == logs[0]
    assert (await driver.settled(thread))["values"]["log"] == [f"{len(ticks)} ticks"]


def comments_and_events(received: bytes) -> tuple[list[bytes], list[SseEvent]]:
    blocks = received.split(b"\r\n\r\n")[:-1]
    comments = [block for block in blocks if block.startswith(b":")]
    return comments, [event for block in blocks if block not in comments for event in parse(block + b"\r\n\r\n")]


async def test_who_cannot_be_served_is_told_once_and_the_stream_ends(
    deployment: Deployment, driver: Driver, gate: Gate
) -> None:
    """Live events of a run that is not resumable."""
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            if b"event: updates" in received and deployment.redis.running:
                await deployment.lose_redis()
            elif received.count(HEARTBEAT) == 3:
                gate.open()
    comments, events = comments_and_events(received)
    assert comments.count(INTERRUPTED) == 1
    assert [event.name for event in events] == ["metadata", "updates"]
    assert (await driver.show(thread))["values"]["log"] == ["first", "gate", "last"]


async def test_live_events_of_a_short_outage_are_only_late(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    """Even of a run that is not resumable, and that ends in the meantime."""
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        await gate.reached()
        await deployment.lose_redis()
        gate.open()
        await driver.settled(thread)
        await deployment.restore_redis()
        _, events = comments_and_events(await response.aread())
    assert [next(iter(event.data)) for event in events[1:]] == ["first", "gate", "last"]


async def test_the_result_of_a_run_whose_thread_is_gone_is_only_late(
    deployment: Deployment, driver: Driver, gate: Gate
) -> None:
    """Of a run on a thread of its own nothing is left in the database."""
    body = {"assistant_id": "gated", "input": gate.state}
    async with driver.http.stream("POST", "/runs/wait", json=body) as response:
        await gate.reached()
        await deployment.lose_redis()
        gate.open()
        await asyncio.sleep(1.5)
        await deployment.restore_redis()
        assert json.loads(await response.aread())["log"] == ["first", "gate", "last"]


async def test_afterwards_it_is_as_before(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    async with driver.streaming("GET", f"/threads/{thread}/stream", params={"stream_modes": "lifecycle"}) as events:
        for _ in range(2):
            await deployment.lose_redis()
            await asyncio.sleep(0.2)
            await deployment.restore_redis()
            streamed = await driver.stream(thread, "flooding", {"x": [100, 500]}, stream_mode="custom")
            assert [event.data["number"] for event in streamed[1:]] == list(range(100))
            run = (await driver.runs(thread))[-1]["run_id"]
            assert (await anext(events)).data == {"run_id": run, "attempt": 1}
            assert (await anext(events)).data == {"run_id": run, "status": "run_done"}
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    assert (await driver.cancel(thread, run["run_id"], wait="true")).status_code == 200
