"""Threads with much history are deleted and pruned in parts: nothing is left, and whatever comes in between stays whole."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Connection, func, select, update
from starlette.applications import Starlette

from tests.databases import open_database
from tests.driver import Driver
from waystation.auth.access import EVERYTHING
from waystation.storage import checkpoints, tables
from waystation.storage.database import Database
from waystation.storage.sweeping import sweep_once
from waystation.threads import deletion, queries, removal, sweeper
from waystation.threads.expiry import sweep_some
from waystation.threads.removal import prune_some, remove_some
from waystation.threads.ttl import Ttl
from waystation.timestamps import now_us

ALL = tables.metadata.sorted_tables
PART = 7
"""Rows at once."""


def rows(conn: Connection) -> dict[str, int]:
    return {table.name: conn.execute(select(func.count()).select_from(table)).scalar_one() for table in ALL}


async def conversation(driver: Driver, turns: int = 6, **thread: Any) -> str:
    thread_id = await driver.thread(**thread)
    for turn in range(turns):
        await driver.wait(thread_id, "nested", {"x": f"{turn} " * 200}, stream_resumable=True)
    return thread_id


async def test_a_large_thread_goes_in_parts(http: httpx.AsyncClient, driver: Driver, served_db: Database) -> None:
    before = await served_db.read(rows)
    thread = await conversation(driver)
    steps, left, set_aside = 0, [thread], []
    while left:
        removed = await served_db.write(remove_some, left, EVERYTHING, PART)
        left, steps = list(removed.left), steps + 1
        set_aside += removed.set_aside
        status = (await http.get(f"/threads/{thread}")).status_code
        assert status == (200 if left else 404)
    assert steps > 2
    assert len(set_aside) == 1
    steps = 0
    sizes = [await served_db.read(rows)]
    while await served_db.write(checkpoints.delete_set_aside, set_aside[0], PART):
        sizes.append(await served_db.read(rows))
    assert all(0 < sum(a.values()) - sum(b.values()) <= PART for a, b in itertools.pairwise(sizes))
    assert len(sizes) > 5
    assert await served_db.read(rows) == before


async def test_what_is_set_aside_is_out_of_sight(driver: Driver, served_db: Database, app: Starlette) -> None:
    """Also of a thread that is made with the same id before the rest is deleted."""
    thread = await conversation(driver, turns=3)
    before = await served_db.read(rows)
    removed = await served_db.write(_remove_all, thread)
    assert removed
    await driver.thread(thread_id=thread)
    assert await driver.history(thread) == []
    assert [found async for found in app.state.server.saver.alist(None)] == []
    assert (await driver.wait(thread, "echo", {"x": "new"}))["x"] == "new!"
    state = await driver.state(thread)
    assert await served_db.read(checkpoints.find_set_aside) == removed
    # As a process finds it that starts after another was killed.
    assert await sweep_once(sweeper.sweep_expired_threads(served_db, 10)) == 0
    assert await served_db.read(checkpoints.find_set_aside) == []
    assert await driver.state(thread) == state
    assert (await served_db.read(rows))["checkpoint_values"] < before["checkpoint_values"]


def _remove_all(conn: Connection, thread_id: str) -> list[int]:
    removed = remove_some(conn, [thread_id], EVERYTHING, PART)
    while removed.left:
        removed = remove_some(conn, removed.left, EVERYTHING, PART)
    return removed.set_aside


async def test_only_what_is_set_aside_can_be_deleted_so(driver: Driver, served_db: Database) -> None:
    await conversation(driver, turns=1)
    before = await served_db.read(rows)
    keys = await served_db.read(
        lambda conn: conn.execute(select(tables.checkpoint_threads.c.thread_key)).scalars().all()
    )
    for key in (*keys, 10**6):
        assert not await served_db.write(checkpoints.delete_set_aside, key, PART)
    assert await served_db.read(rows) == before


async def test_some_of_many_threads_go_at_once(driver: Driver, served_db: Database) -> None:
    before = await served_db.read(rows)
    threads = [await driver.thread() for _ in range(5)]
    removed = await served_db.write(remove_some, [driver.new_id(), *threads], EVERYTHING, 2 * removal.THREAD_COST + 1)
    assert (removed.threads, list(removed.left)) == (threads[:2], threads[2:])
    removed = await served_db.write(remove_some, removed.left, EVERYTHING)
    assert (removed.threads, list(removed.left)) == (threads[2:], [])
    assert await served_db.read(rows) == before


async def test_deleting_over_http_takes_as_many_parts_as_it_needs(
    http: httpx.AsyncClient, driver: Driver, served_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "PART", PART)
    monkeypatch.setattr(remove_some, "__defaults__", (PART,))
    monkeypatch.setattr(prune_some, "__defaults__", (checkpoints.BEGINNING, PART))
    before = await served_db.read(rows)
    kept, gone, other = [await conversation(driver, turns=4) for _ in range(3)]
    state = (await driver.state(kept))["values"]
    answer = await http.post("/threads/prune", json={"thread_ids": [kept], "strategy": "keep_latest"})
    assert answer.json() == {"pruned_count": 1}
    assert [each["values"] for each in await driver.history(kept)] == [state]
    assert (await http.delete(f"/threads/{gone}")).status_code == 204
    answer = await http.post("/threads/prune", json={"thread_ids": [other, driver.new_id(), kept]})
    assert answer.json() == {"pruned_count": 2}
    assert await served_db.read(rows) == before


async def test_expired_threads_with_much_history_go_in_parts(driver: Driver, served_db: Database) -> None:
    before = await served_db.read(rows)
    kept = await conversation(driver, ttl={"ttl": 60, "strategy": "keep_latest"})
    gone = await conversation(driver, ttl={"ttl": 60})
    state = (await driver.state(kept))["values"]
    await served_db.write(lambda conn: conn.execute(update(tables.threads).values(expires_at=now_us() - 1)) and None)
    at, steps, unfinished = now_us(), 0, None
    deleted: list[str] = []
    pruned: list[str] = []
    while True:
        done = await served_db.write(sweep_some, at, now_us(), 10, unfinished, PART)
        steps += 1
        deleted, pruned, unfinished = deleted + done.deleted, pruned + done.pruned, done.unfinished
        assert (await driver.state(kept))["values"] == state
        for key in done.set_aside:
            while await served_db.write(checkpoints.delete_set_aside, key, PART):
                pass
        if not done.more:
            break
    assert (deleted, pruned) == ([gone], [kept])
    assert steps > 8
    assert [each["values"] for each in await driver.history(kept)] == [state]
    await driver.http.delete(f"/threads/{kept}")
    assert await served_db.read(rows) == before


async def test_two_processes_sweep_at_once(tmp_path: Path) -> None:
    """Each thread is dealt with by one of them, and neither fails."""
    first, second = open_database(tmp_path / "shared.db"), open_database(tmp_path / "shared.db")
    try:
        ids = [str(uuid4()) for _ in range(300)]
        await first.write(_expired_threads, ids)
        counts = await asyncio.gather(
            *(sweep_once(sweeper.sweep_expired_threads(served_db, 1000)) for served_db in (first, second))
        )
        assert sum(counts) == len(ids)
        left = await first.read(lambda conn: conn.execute(select(tables.threads.c.ttl_strategy)).scalars().all())
        assert list(left) == ["keep_latest"] * 100
    finally:
        await first.close()
        await second.close()


def _expired_threads(conn: Connection, ids: list[str]) -> None:
    for i, thread_id in enumerate(ids):
        ttl = Ttl(1, "delete" if i % 3 else "keep_latest")
        queries.create(conn, queries.new_row(thread_id, {"i": i}, ttl, 0), "raise", EVERYTHING)
