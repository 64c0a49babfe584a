"""Items that live for a limited time. The clock is the test's, so that nothing has to wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp
from sqlalchemy import func, select

from tests.databases import open_database
from waystation.storage.database import Database
from waystation.storage.tables import store_items
from waystation.store import Store, queries, store, sweep_regularly
from waystation.timestamps import MICROSECONDS

MINUTE = 60 * MICROSECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * MICROSECONDS

    def __call__(self) -> int:
        return self.now

    def pass_minutes(self, minutes: float) -> None:
        self.now += int(minutes * MINUTE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store, "now_us", clock)
    return clock


async def rows(db: Database) -> int:
    return await db.read(lambda conn: conn.execute(select(func.count()).select_from(store_items)).scalar_one())


async def test_an_expired_item_is_gone_for_every_operation(db: Database, clock: Clock) -> None:
    memory = Store(db)
    await memory.aput(("a",), "k", {"n": 1}, ttl=10)
    clock.pass_minutes(9.99)
    assert len(await memory.asearch((), refresh_ttl=False)) == 1
    clock.pass_minutes(0.01)
    assert await memory.abatch([GetOp(("a",), "k"), SearchOp(()), SearchOp((), {"n": 1}), ListNamespacesOp()]) == [
        None,
        [],
        [],
        [],
    ]


async def test_reading_starts_the_time_anew(db: Database, clock: Clock) -> None:
    memory = Store(db)
    await memory.aput(("a",), "k", {}, ttl=10)
    for _ in range(3):
        clock.pass_minutes(6)
        assert await memory.aget(("a",), "k") is not None
        clock.pass_minutes(6)
        assert len(memory.search(("a",))) == 1


async def test_reading_without_refresh_does_not(db: Database, clock: Clock) -> None:
    memory, still = Store(db), Store(db, {"refresh_on_read": False})
    await memory.aput(("a",), "k", {}, ttl=10)
    clock.pass_minutes(6)
    assert await memory.aget(("a",), "k", refresh_ttl=False) is not None
    assert await still.aget(("a",), "k") is not None
    assert len(await still.asearch(("a",))) == 1
    clock.pass_minutes(6)
    assert await memory.aget(("a",), "k") is None


async def test_a_call_overrides_refresh_on_read(db: Database, clock: Clock) -> None:
    still = Store(db, {"refresh_on_read": False})
    await still.aput(("a",), "k", {}, ttl=10)
    clock.pass_minutes(6)
    assert await still.aget(("a",), "k", refresh_ttl=True) is not None
    clock.pass_minutes(6)
    assert await still.aget(("a",), "k") is not None


async def test_the_default_time_to_live(db: Database, clock: Clock) -> None:
    memory = Store(db, {"default_ttl": 10})
    await memory.aput(("a",), "default", {})
    await memory.aput(("a",), "longer", {}, ttl=20)
    await memory.aput(("a",), "for ever", {}, ttl=None)
    clock.pass_minutes(15)
    assert {item.key for item in await memory.asearch(())} == {"longer", "for ever"}
    clock.pass_minutes(10_000_000)
    assert {item.key for item in await memory.asearch(())} == {"for ever"}


async def test_overwriting_replaces_the_time_to_live(db: Database, clock: Clock) -> None:
    memory = Store(db)
    await memory.aput(("a",), "k", {}, ttl=10)
    await memory.abatch([GetOp(("a",), "k"), PutOp(("a",), "k", {"v": 2}, ttl=1)])
    clock.pass_minutes(2)
    assert await memory.aget(("a",), "k") is None


async def test_an_item_stored_after_its_expiry_is_a_new_one(db: Database, clock: Clock) -> None:
    memory = Store(db)
    await memory.aput(("a",), "k", {"v": 1}, ttl=10)
    clock.pass_minutes(11)
    await memory.aput(("a",), "k", {"v": 2})
    item = await memory.aget(("a",), "k")
    assert item is not None
    assert item.created_at == item.updated_at


@pytest.mark.parametrize("ttl", [1e300, float("inf")])
async def test_a_time_to_live_beyond_all_calendars(db: Database, clock: Clock, ttl: float) -> None:
    memory = Store(db)
    await memory.aput(("a",), "k", {}, ttl=ttl)
    clock.pass_minutes(1_000_000)
    assert await memory.aget(("a",), "k") is not None


async def test_sweeping_frees_expired_items_only(db: Database, clock: Clock) -> None:
    memory = Store(db)
    await memory.abatch([PutOp(("a",), f"short{number}", {}, ttl=1 + number) for number in range(5)])
    await memory.abatch([PutOp(("a",), "long", {}, ttl=60), PutOp(("a",), "for ever", {})])
    clock.pass_minutes(30)
    assert await rows(db) == 7
    assert await memory.sweep(limit=2) == 5
    assert await rows(db) == 2
    assert await memory.sweep() == 0


async def test_one_sweep_transaction_is_bounded_and_takes_the_oldest(db: Database, clock: Clock) -> None:
    memory = Store(db)
    await memory.abatch([PutOp(("a",), f"k{number}", {}, ttl=1 + number) for number in range(3)])
    clock.pass_minutes(30)
    assert await db.write(queries.sweep, clock(), 2) == 2
    left = await db.read(lambda conn: conn.execute(select(store_items.c.key)).scalars().all())
    assert left == ["k2"]


async def test_two_processes_sweep_at_once(db: Database, clock: Clock, tmp_path: Path) -> None:
    await Store(db).abatch([PutOp(("a",), f"k{number}", {}, ttl=1) for number in range(200)])
    await Store(db).aput(("a",), "long", {}, ttl=60)
    clock.pass_minutes(30)
    other = open_database(tmp_path / "test.db")
    try:
        counts = await asyncio.gather(*(Store(each).sweep(limit=7) for each in (db, other)))
    finally:
        await other.close()
    assert sum(counts) == 200
    assert await rows(db) == 1


async def test_an_item_that_is_written_while_it_is_swept_stays(db: Database, clock: Clock) -> None:
    memory = Store(db)
    for _ in range(20):
        await memory.aput(("a",), "k", {}, ttl=1)
        clock.pass_minutes(2)
        await asyncio.gather(memory.sweep(), memory.aput(("a",), "k", {"v": "new"}, ttl=60))
        item = await memory.aget(("a",), "k")
        assert item is not None
        assert item.value == {"v": "new"}


async def test_the_sweeper_sweeps_until_it_is_cancelled(db: Database, clock: Clock) -> None:
    memory = Store(db, {"sweep_interval_minutes": 0.0001})
    await memory.aput(("a",), "k", {}, ttl=1)
    clock.pass_minutes(2)
    sweeper = asyncio.create_task(sweep_regularly(memory))
    async with asyncio.timeout(10):
        while await rows(db) > 0:  # each look is a trip to another thread, which lets the sweeper run
            pass
    sweeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeper
