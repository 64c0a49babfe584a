"""A temporary run whose end the bus loses: its thread is gone, and still clients in another process are told how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select

from tests.bus.fleet import SIGNALS_ONLY, Fleet
from tests.bus.redis_server import RedisServer, command
from tests.driver import Driver
from tests.gate import Gate
from tests.sse import INTERRUPTED, names, parse
from waystation.storage.database import Database
from waystation.storage.sweeping import sweep_once
from waystation.storage.tables import events, last_words, runs, threads
from waystation.streams import last_words as words
from waystation.streams.parcels import FORMAT
from waystation.streams.sweeper import sweep_events
from waystation.timestamps import now_us

ERROR = {"error": "ValueError", "message": "the node failed"}


class Deployment:
    """An API process that can be made deaf to the worker beside it, while both are connected to Redis."""

    def __init__(self, fleet: Fleet, redis_url: str, key_prefix: str) -> None:
        self.api = fleet.start("api", heartbeat_s=0.5)
        self.worker = fleet.worker()
        self._redis_url = redis_url
        self._key_prefix = key_prefix

    @property
    def db(self) -> Database:
        db: Database = self.api.app.state.server.db
        return db

    async def lose_what_comes(self) -> None:
        """What is sent to an inbox that is not there is lost."""
        inbox = f"{self._key_prefix}:{FORMAT}:inbox:{self.api.app.state.server.bus.address}"
        assert await command(self._redis_url, "DEL", inbox) == 1


@pytest.fixture
def deployment(fleet: Fleet, valkey: Any, key_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setattr("waystation.streams.redis_link.UPKEEP_S", 60)
    monkeypatch.setattr("waystation.streams.redis_link.RETURN_S", 0)
    return Deployment(fleet, valkey.connection_url, key_prefix)


@pytest.fixture
async def driver(fleet: Fleet, deployment: Deployment) -> AsyncIterator[Driver]:
    async with fleet.driver(deployment.api) as driver:
        yield driver


def left(conn: Connection) -> dict[str, int]:
    """How many rows there are of all that runs leave behind."""
    tables = (threads, runs, events, last_words)
    return {table.name: conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}


async def test_a_waiting_client_gets_the_result(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    waiting = asyncio.create_task(driver.wait(None, "gated", {**gate.state, "x": "long " * 500_000}))
    await gate.reached()
    await deployment.lose_what_comes()
    gate.open()
    result = await waiting
    assert (result["log"], len(result["x"])) == (["first", "gate", "last"], 2_500_000)


async def test_a_waiting_client_gets_the_error(deployment: Deployment, driver: Driver) -> None:
    await deployment.lose_what_comes()
    assert await driver.wait(None, "failing", {"x": "a"}) == {"__error__": ERROR}


async def test_one_that_joined_gets_the_result(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    """The run was created by nobody who waits: that somebody does was announced."""
    created = await driver.http.post("/runs", json={"assistant_id": "gated", "input": gate.state})
    run = created.json()
    joined = asyncio.create_task(driver.join(run["thread_id"], run["run_id"]))
    await gate.reached()
    await asyncio.sleep(0.5)
    await deployment.lose_what_comes()
    gate.open()
    assert (await joined)["log"] == ["first", "gate", "last"]


async def test_a_live_stream_tells_of_the_gap_and_ends(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.http.stream("POST", "/runs/stream", json=body) as response:
        received, lost = b"", False
        async for piece in response.aiter_raw():
            received += piece
            if b"event: updates" in received and not lost:
                await gate.reached()
                await deployment.lose_what_comes()
                lost = True
                gate.open()
    assert names(parse(received)) == ["metadata", "updates"]
    assert received.count(INTERRUPTED) == 1


@pytest.mark.parametrize("resumable", [False, True])
async def test_a_stream_tells_the_error(deployment: Deployment, driver: Driver, resumable: bool) -> None:
    await deployment.lose_what_comes()
    seen = await driver.stream(None, "failing", {"x": "a"}, stream_mode="updates", stream_resumable=resumable)
    assert names(seen) == (["metadata", "updates", "error"] if resumable else ["error"])
    assert seen[-1].data == ERROR


async def test_a_resumable_stream_is_complete(deployment: Deployment, driver: Driver, gate: Gate) -> None:
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates", "stream_resumable": True}
    async with driver.streaming("POST", "/runs/stream", json=body) as stream:
        seen = [await anext(stream), await anext(stream)]
        await gate.reached()
        await deployment.lose_what_comes()
        gate.open()
        seen += [event async for event in stream]
    assert [next(iter(event.data)) for event in seen[1:]] == ["first", "gate", "last"]


async def test_nobody_else_sees_anything_of_it(deployment: Deployment, driver: Driver) -> None:
    await deployment.lose_what_comes()
    response = await driver.http.post(
        "/runs/stream", json={"assistant_id": "echo", "input": {"x": "a"}, "stream_resumable": True}
    )
    path = response.headers["content-location"]
    run = path.rsplit("/", 1)[1]
    assert (await driver.http.post("/threads/search", json={})).json() == []
    assert (await driver.http.post("/threads/count", json={})).json() == 0
    thread = await deployment.db.read(lambda conn: conn.execute(select(events.c.thread_id).limit(1)).scalar_one())
    for gone in (f"/threads/{thread}", f"/threads/{thread}/runs/{run}", f"/threads/{thread}/state"):
        assert (await driver.http.get(gone)).status_code == 404
    rejoined = await driver.rejoin(thread, run, "-1")
    assert names(rejoined) == ["error"]


@pytest.mark.parametrize("by_run", [False, True])
async def test_a_thread_that_is_made_with_its_id_begins_with_an_empty_stream(
    deployment: Deployment, driver: Driver, by_run: bool
) -> None:
    await driver.stream(None, "echo", {"x": "secret"}, stream_resumable=True)
    thread = await deployment.db.read(lambda conn: conn.execute(select(events.c.thread_id).limit(1)).scalar_one())
    if by_run:
        await driver.wait(thread, "echo", {"x": "own"}, if_not_exists="create", stream_resumable=True)
    else:
        created = await driver.http.post("/threads", json={"thread_id": thread})
        assert created.status_code == 200, created.text
    data = await deployment.db.read(lambda conn: list(conn.execute(select(events.c.data)).scalars()))
    assert not any(b"secret" in each for each in data)
    assert any(b"own" in each for each in data) == by_run


async def test_it_is_forgotten(deployment: Deployment, driver: Driver) -> None:
    db = deployment.db
    for _ in range(3):
        await driver.stream(None, "echo", {"x": "a"}, stream_resumable=True)
    found = await db.read(left)
    assert found.pop("events") > 0
    assert found == {"threads": 0, "runs": 0, "last_words": 3}
    await sweep_once(sweep_events(db, -1))
    assert await db.read(left) == {"threads": 0, "runs": 0, "events": 0, "last_words": 3}
    in_a_minute = now_us() + words.KEPT_S * 1_000_000
    assert await db.write(words.forget, in_a_minute, 2) == 2
    assert await db.write(words.forget, in_a_minute, 2) == 1
    assert (await db.read(left))["last_words"] == 0


async def test_what_nobody_elsewhere_follows_leaves_nothing(fleet: Fleet) -> None:
    alone = fleet.start("all", SIGNALS_ONLY)
    async with fleet.driver(alone) as driver:
        await driver.wait(None, "echo", {"x": "a"})
        await driver.stream(None, "echo", {"x": "a"}, stream_resumable=True)
    nothing = {"threads": 0, "runs": 0, "events": 0, "last_words": 0}
    assert await alone.app.state.server.db.read(left) == nothing


async def test_one_that_is_cancelled_in_the_queue(tmp_path: Path, own_redis: RedisServer, key_prefix: str) -> None:
    """By another process, which cannot tell it."""
    with Fleet(tmp_path, own_redis.url, key_prefix) as fleet:
        first, second = fleet.start("api", heartbeat_s=0.2), fleet.start("api", heartbeat_s=0.2)
        async with fleet.driver(first) as driver, fleet.driver(second) as other:
            own_redis.kill()
            assert await _cancelled_elsewhere(driver.http, other) == {}


async def _cancelled_elsewhere(http: httpx.AsyncClient, other: Driver) -> Any:
    """What a client gets who waits for a run that another one cancels."""
    async with http.stream("POST", "/runs/wait", json={"assistant_id": "echo"}) as response:
        _, _, thread, _, run = response.headers["content-location"].split("/")
        assert (await other.cancel(thread, run)).status_code == 202
        return json.loads(await response.aread())
