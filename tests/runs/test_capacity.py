"""The bound on pending runs: kept without counting them for each new one, and never in the way while there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert, update

from tests.databases import open_database
from tests.driver import eventually
from waystation.errors import BadInput, Overloaded
from waystation.runs.capacity import Capacity
from waystation.storage.database import Database
from waystation.storage.tables import runs, threads
from waystation.timestamps import now_us

NEVER = 1_000_000.0
ALWAYS, RARELY = 1, 1e-9


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "capacity.db")
    yield database
    await database.close()


def enqueue(conn: Connection, count: int) -> None:
    """Put `count` runs into the queue, as any process may."""
    now = now_us()
    for _ in range(count):
        thread = {"thread_id": str(uuid4()), "created_at": now, "updated_at": now, "state_updated_at": now}
        status: dict[str, Any] = {"status": "busy", "rest_status": "idle", "metadata": {}, "config": {}}
        conn.execute(insert(threads), {**thread, **status, "interrupts": {}})
        run = {"run_id": str(uuid4()), "thread_id": thread["thread_id"], "assistant_id": "a", "graph_id": "g"}
        state: dict[str, Any] = {"status": "pending", "metadata": {}, "kwargs": {}, "multitask_strategy": "enqueue"}
        conn.execute(insert(runs), {**run, **state, "created_at": now, "updated_at": now, "attempt": 0})


def settle_all(conn: Connection) -> None:
    conn.execute(update(runs).values(status="success", settled_at=now_us()))


async def create(db: Database, capacity: Capacity, count: int = 1) -> None:
    """What the engine does for runs that no worker takes."""
    await capacity.reserve(count)
    await db.write(enqueue, count)
    capacity.settle(count, pending=count)


async def test_it_is_kept_to_the_run(db: Database) -> None:
    capacity = Capacity(db, 3, counting_share=ALWAYS)
    for _ in range(3):
        await create(db, capacity)
    with pytest.raises(Overloaded, match="3 runs are pending"):
        await create(db, capacity)
    await db.write(settle_all)
    await create(db, capacity)


async def test_runs_that_wait_already_count(db: Database) -> None:
    await db.write(enqueue, 5)
    capacity = Capacity(db, 5)
    with pytest.raises(Overloaded):
        await create(db, capacity)


async def test_what_others_put_into_the_queue_counts_before_long(db: Database) -> None:
    capacity = Capacity(db, 5, refresh_s=0, counting_share=ALWAYS)
    await create(db, capacity)
    await db.write(enqueue, 100)
    await capacity.reserve(1)  # not seen yet, but looked for
    capacity.settle(1, pending=0)

    async def refused() -> bool:
        try:
            await capacity.reserve(1)
        except Overloaded:
            return True
        capacity.settle(1, pending=0)
        return False

    await eventually(refused, "the refusal")


async def test_what_a_worker_has_taken_up_makes_room(db: Database) -> None:
    capacity = Capacity(db, 2, refresh_s=NEVER, counting_share=ALWAYS)
    for _ in range(20):
        await create(db, capacity)
        await db.write(settle_all)


async def test_runs_that_start_at_once_take_no_room(db: Database) -> None:
    capacity = Capacity(db, 1, refresh_s=NEVER, counting_share=RARELY)
    for _ in range(3):
        await capacity.reserve(1)
        capacity.settle(1, pending=0)


async def test_runs_that_are_being_created_take_room(db: Database) -> None:
    capacity = Capacity(db, 2, counting_share=ALWAYS)
    await capacity.reserve(2)
    with pytest.raises(Overloaded):
        await capacity.reserve(1)
    capacity.settle(2, pending=0)
    await capacity.reserve(1)


async def test_a_batch_has_room_as_a_whole_or_not_at_all(db: Database) -> None:
    capacity = Capacity(db, 4, counting_share=ALWAYS)
    await create(db, capacity, 2)
    with pytest.raises(Overloaded):
        await create(db, capacity, 3)
    await create(db, capacity, 2)
    with pytest.raises(BadInput, match="5 runs at once"):
        await capacity.reserve(5)


async def test_refusals_are_counted_and_the_queue_is_not_counted_for_each(db: Database) -> None:
    await db.write(enqueue, 1)
    capacity = Capacity(db, 1, counting_share=RARELY)
    for _ in range(3):
        with pytest.raises(Overloaded):
            await capacity.reserve(1)
    await db.write(settle_all)
    with pytest.raises(Overloaded):
        await capacity.reserve(1)  # the last count is not old enough
    assert (capacity.figures().limit, capacity.figures().refused) == (1, 4)


async def test_without_a_limit_nothing_is_counted(db: Database) -> None:
    capacity = Capacity(db, 0)
    await db.close()
    for _ in range(3):
        await capacity.reserve(1000)
        capacity.settle(1000, pending=1000)


async def test_a_count_that_fails_leaves_the_estimate(db: Database) -> None:
    capacity = Capacity(db, 2, counting_share=ALWAYS)
    await create(db, capacity, 2)
    await db.close()
    with pytest.raises(Overloaded):
        await capacity.reserve(1)
