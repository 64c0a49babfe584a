"""Stored events are forgotten some time after their run ended, and not before."""

from __future__ import annotations

import httpx
from starlette.applications import Starlette

from tests.driver import Driver, eventually
from waystation.streams import queries
from waystation.timestamps import MICROSECONDS, now_us

LIMIT = 1000


async def test_events_of_ended_runs_are_forgotten(app: Starlette, http: httpx.AsyncClient) -> None:
    driver, db = Driver(http), app.state.server.db
    thread = await driver.thread()
    run = await driver.start(thread, "echo", {"x": "a"}, stream_resumable=True)
    await driver.settled(thread)
    stored = await driver.rejoin(thread, run["run_id"], "-1")
    assert [event.name for event in stored] == ["metadata", "values", "values"]
    an_hour_ago = now_us() - 3600 * MICROSECONDS
    assert await db.write(queries.delete_settled_before, an_hour_ago, LIMIT) == 0
    assert await db.write(queries.delete_settled_before, now_us() + MICROSECONDS, 2) == 2
    assert len(await driver.rejoin(thread, run["run_id"], "-1")) == 1
    assert await db.write(queries.delete_settled_before, now_us() + MICROSECONDS, LIMIT) == 1
    assert await driver.rejoin(thread, run["run_id"], "-1") == []


async def test_events_of_a_run_that_goes_on_are_kept(app: Starlette, http: httpx.AsyncClient) -> None:
    driver, db = Driver(http), app.state.server.db
    thread = await driver.thread()
    run = await driver.start(thread, "sleeper", {"n": 30}, stream_resumable=True)

    async def said() -> bool:
        return await db.read(queries.last_of_run, thread, run["run_id"]) is not None

    await eventually(said, "an event of the run")
    assert await db.write(queries.delete_settled_before, now_us() + MICROSECONDS, LIMIT) == 0
    await driver.cancel(thread, run["run_id"])
    await driver.settled(thread)
    assert await db.write(queries.delete_settled_before, now_us() + MICROSECONDS, LIMIT) > 0
