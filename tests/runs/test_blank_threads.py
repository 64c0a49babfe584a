"""A run begins without looking for checkpoints where it is known that there are none."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from uuid import uuid4

from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import Connection

from tests.databases import open_database
from tests.driver import Driver
from waystation.auth.access import EVERYTHING
from waystation.runs import queries
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.threads import queries as thread_queries


def blank(conn: Connection, thread_id: str) -> bool:
    row = queries.ask_thread(conn, thread_id, EVERYTHING, lock=True).first()
    assert row is not None
    return bool(row.blank)


async def new_thread(db: Database) -> str:
    thread_id = str(uuid4())
    await db.write(thread_queries.create, thread_queries.new_row(thread_id, {}, None, 1), "raise", EVERYTHING)
    return thread_id


async def test_whoever_has_left_checkpoints(db: Database) -> None:
    untouched, written = await new_thread(db), await new_thread(db)
    config = {"configurable": {"thread_id": written, "checkpoint_ns": ""}}
    await Saver(db).aput(config, empty_checkpoint(), {}, {})  # type: ignore[arg-type]
    assert await db.write(blank, untouched)
    assert not await db.write(blank, written)


async def test_a_run_that_is_settled_meanwhile(tmp_path: Path) -> None:
    """Who has to wait for the thread's row sees what the other process has done to the thread, although PostgreSQL shows of other
    tables what was there before."""
    first, second = open_database(tmp_path / "shared.db"), open_database(tmp_path / "shared.db")
    try:
        thread_id = await new_thread(first)
        begun, over = threading.Event(), threading.Event()

        def settle(conn: Connection) -> None:
            queries.lock_thread(conn, thread_id)
            config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
            Saver(first).put_in(conn, config, empty_checkpoint(), {}, {})  # type: ignore[arg-type]
            queries.set_thread(conn, thread_id, status="idle", updated_at=2, state_updated_at=2)
            begun.set()
            assert over.wait(30)

        settling = asyncio.ensure_future(first.write(settle))
        assert await asyncio.to_thread(begun.wait, 30)
        asked = asyncio.ensure_future(second.write(blank, thread_id))
        await asyncio.sleep(0.3)
        assert not asked.done(), "it waits for the lock"
        over.set()
        await settling
        assert not await asked
    finally:
        await first.close()
        await second.close()


async def test_every_run_goes_on_from_what_was_there(driver: Driver) -> None:
    """A thread that was filled by an edit, a copy, or a run that was queued behind the first one."""
    edited = await driver.thread(metadata={"graph_id": "echo"})
    edit = {"values": {"x": "e", "log": ["edit"]}, "as_node": "echo"}
    assert (await driver.http.post(f"/threads/{edited}/state", json=edit)).status_code == 200
    copied = (await driver.http.post(f"/threads/{edited}/copy")).json()["thread_id"]
    for thread_id in (edited, copied):
        assert (await driver.wait(thread_id, "echo", {"log": ["run"]}))["x"] == "e!"
    queued = await driver.thread()
    runs = [await driver.start(queued, "echo", {"x": "q"} if number == 0 else {"log": ["run"]}) for number in range(3)]
    await driver.join(queued, runs[-1]["run_id"])
    assert (await driver.settled(queued))["values"]["x"] == "q!!!"
