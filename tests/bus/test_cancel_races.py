"""Cancelling a run at the moment in which it changes hands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Connection

from tests.bus.conftest import Process
from tests.bus.events import until
from tests.bus.fleet import Fleet
from tests.driver import Driver, eventually
from waystation.runs import lifecycle
from waystation.storage.postgres import PostgresDatabase
from waystation.timestamps import now_us


async def someone_waits(uri: str) -> None:
    """Until a transaction waits for a row."""
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as connection:

        async def waits() -> bool:
            found = await connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
            return await found.fetchone() is not None

        await eventually(waits, "a transaction waiting for a row")


async def cancelling(driver: Driver, thread: str, run_id: str, how: str) -> None:
    """Cancel the run, delete it, or let another one take its place."""
    if how == "cancel":
        assert (await driver.cancel(thread, run_id)).status_code == 202
    elif how == "delete":
        assert (await driver.http.delete(f"/threads/{thread}/runs/{run_id}")).status_code == 204
    else:
        await driver.start(thread, "echo", {"x": "b"}, multitask_strategy=how)


@pytest.mark.parametrize("how", ["cancel", "delete", "interrupt", "rollback"])
async def test_a_run_that_is_just_handed_back_to_the_queue(fleet: Fleet, process: Process, how: str) -> None:
    """It is nobody's when it is cancelled: nobody else would ever settle it, and its thread would stay busy."""
    api = fleet.start("api")
    uri = fleet.environ["DATABASE_URI"]
    other = PostgresDatabase(uri)
    go = threading.Event()

    def hand_back(address: str, run_id: str) -> Callable[[Connection], None]:
        def transaction(conn: Connection) -> None:
            assert lifecycle.let_go(conn, address, [run_id], now_us()) == 1
            go.wait(5)

        return transaction

    async with fleet.driver(api) as driver, process(executes=True) as member:
        member.slots = 1
        address = member.bus.address or ""
        thread = await driver.thread()
        await until(lambda: api.app.state.server.bus.offers.heard_at(address) is not None, "the offer")
        await asyncio.sleep(0.2)
        run = await driver.start(thread, "echo", {"x": "a"})
        assert run["run_id"]
        handing = asyncio.create_task(asyncio.to_thread(other.write_blocking, hand_back(address, run["run_id"])))
        await asyncio.sleep(0.1)
        cancel = asyncio.create_task(cancelling(driver, thread, run["run_id"], how))
        await someone_waits(uri)
        go.set()
        await asyncio.gather(handing, cancel)
        fleet.worker()
        await driver.settled(thread)
        left = {each["run_id"]: each["status"] for each in await driver.runs(thread)}
        assert left.get(run["run_id"]) == (None if how in ("delete", "rollback") else "interrupted")
    await other.close()
