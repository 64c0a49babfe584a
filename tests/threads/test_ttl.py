"""Threads that live for a limited time: what is stored, what is shown, and what happens once the time is over (spec 21)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from sqlalchemy import Connection, func, select, text, update
from starlette.applications import Starlette

from tests.conftest import connected, served
from tests.driver import Driver, eventually
from tests.gate import Gate
from waystation.config import Config
from waystation.storage import sweeping, tables
from waystation.storage.database import Database
from waystation.storage.sweeping import sweep_once
from waystation.threads.sweeper import SweepSettings, sweep_expired_threads
from waystation.threads.ttl import LONGEST_MINUTES, Ttl, default_ttl, ttl_of_run
from waystation.timestamps import now_us

LIMIT = 1000
NEVER = 1e9
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Starlette]:
    """A server that leaves sweeping to the tests."""
    monkeypatch.setattr(sweeping, "FIRST_S", NEVER)
    async with served(tmp_path, checkpointer={"ttl": {"sweep_interval_minutes": NEVER}}) as app:
        yield app


async def ttl_of(http: httpx.AsyncClient, thread_id: str) -> Any:
    answer = await http.get(f"/threads/{thread_id}", params={"include": "ttl"})
    assert answer.status_code == 200, answer.text
    return answer.json().get("ttl")


async def expire(served_db: Database, *thread_ids: str) -> None:
    """As if their time were over."""
    ids = update(tables.threads).where(tables.threads.c.thread_id.in_(thread_ids))
    await served_db.write(lambda conn: conn.execute(ids.values(expires_at=now_us() - 1)) and None)


async def sweep(served_db: Database, limit: int = LIMIT) -> int:
    return await sweep_once(sweep_expired_threads(served_db, limit))


def rows(conn: Connection) -> dict[str, int]:
    """How many rows each table has."""
    found = {table.name: conn.execute(select(func.count()).select_from(table)).scalar_one() for table in ALL}
    if conn.dialect.name == "sqlite":
        found["thread_labels"] = conn.execute(text("SELECT COUNT(*) FROM thread_labels")).scalar_one()
    return found


ALL = tables.metadata.sorted_tables


# --- what is stored and shown


async def test_the_time_to_live_is_shown_on_request(http: httpx.AsyncClient, driver: Driver) -> None:
    thread = await driver.thread(ttl={"ttl": 90, "strategy": "keep_latest"})
    shown = await driver.show(thread)
    assert "ttl" not in shown
    ttl = await ttl_of(http, thread)
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("keep_latest", 90)
    assert datetime.fromisoformat(ttl["expires_at"]) - datetime.fromisoformat(shown["created_at"]) == 90 * MINUTE
    assert await ttl_of(http, await driver.thread()) is None
    assert (await ttl_of(http, await driver.thread(ttl={"ttl": 0.5})))["strategy"] == "delete"


async def test_a_patch_begins_a_new_time_and_other_patches_do_not(http: httpx.AsyncClient, driver: Driver) -> None:
    thread = await driver.thread(ttl={"ttl": 5})
    first = await ttl_of(http, thread)
    await http.patch(f"/threads/{thread}", json={"metadata": {"a": 1}})
    assert await ttl_of(http, thread) == first
    await http.patch(f"/threads/{thread}", json={"ttl": {"ttl": 5, "strategy": "keep_latest"}})
    second = await ttl_of(http, thread)
    assert second["strategy"] == "keep_latest"
    assert second["expires_at"] > first["expires_at"]


async def test_the_official_client_gives_and_sees_it(sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create(ttl=30)
    shown: Any = await sdk.threads.get(thread["thread_id"], include=["ttl"])
    assert (shown["ttl"]["strategy"], shown["ttl"]["ttl_minutes"]) == ("delete", 30)


async def test_threads_that_do_not_say_get_the_default(tmp_path: Path) -> None:
    ttl = {"strategy": "keep_latest", "default_ttl": 7}
    async with served(tmp_path, checkpointer={"ttl": ttl}) as app, connected(app) as http:
        driver = Driver(http)
        thread = await driver.thread()
        copied = (await http.post(f"/threads/{thread}/copy")).json()["thread_id"]
        for each in (thread, copied):
            shown = await ttl_of(http, each)
            assert (shown["strategy"], shown["ttl_minutes"]) == ("keep_latest", 7)
        assert (await ttl_of(http, await driver.thread(ttl={"ttl": 1})))["ttl_minutes"] == 1


def test_settings() -> None:
    config = Config(Path())
    assert SweepSettings.of(config) == SweepSettings(interval_minutes=5, limit=1000)
    assert default_ttl(config) is None
    ttl = {"default_ttl": float("inf"), "sweep_interval_minutes": 0.5, "sweep_limit": 3}
    config = Config(Path(), checkpointer={"ttl": ttl})
    assert SweepSettings.of(config) == SweepSettings(interval_minutes=0.5, limit=3)
    assert default_ttl(config) == Ttl(LONGEST_MINUTES, "delete")


@pytest.mark.parametrize(
    ("given", "ttl"),
    [
        (5, Ttl(5)),
        (0.5, Ttl(0.5)),
        ({"ttl": 5}, Ttl(5)),
        ({"ttl": 5, "strategy": None}, Ttl(5)),
        ({"ttl": 5, "strategy": "keep_latest"}, Ttl(5, "keep_latest")),
        ({"ttl": 5, "strategy": "shred"}, None),
        ({"ttl": "5"}, None),
        ({}, None),
        ("5m", None),
        (True, None),
        (-1, None),
        (float("nan"), None),
        (1e300, None),
        ([5], None),
        (None, None),
    ],
)
def test_what_a_run_may_give_its_thread(given: Any, ttl: Ttl | None) -> None:
    assert ttl_of_run({"ttl": given}) == ttl
    assert ttl_of_run({}) is None


# --- once the time is over


async def test_nothing_is_left_of_a_deleted_thread(
    http: httpx.AsyncClient, driver: Driver, served_db: Database
) -> None:
    before = await served_db.read(rows)
    thread = await driver.thread(ttl={"ttl": 60}, metadata={"tag": "a", "n": 1})
    for word in ("a", "b", "c"):
        await driver.wait(thread, "nested", {"x": word}, stream_resumable=True)
    await driver.wait(thread, "hitl", {})
    full = await served_db.read(rows)
    assert all(full[name] > before[name] for name in ("runs", "events", "checkpoints", "checkpoint_values"))
    assert await sweep(served_db) == 0
    await expire(served_db, thread)
    assert await sweep(served_db) == 1
    assert await served_db.read(rows) == before
    assert (await http.get(f"/threads/{thread}")).status_code == 404


async def test_keep_latest_drops_history_and_keeps_the_thread(
    http: httpx.AsyncClient, driver: Driver, served_db: Database
) -> None:
    thread = await driver.thread(ttl={"ttl": 60, "strategy": "keep_latest"})
    for word in ("a", "b", "c"):
        await driver.wait(thread, "chat", {"messages": [{"role": "user", "content": word}]})
    state, shown, runs = await driver.state(thread), await driver.show(thread), await driver.runs(thread)
    assert len(await driver.history(thread)) > 3
    await expire(served_db, thread)
    over = await ttl_of(http, thread)
    assert await sweep(served_db) == 1
    assert [each["values"] for each in await driver.history(thread)] == [state["values"]]
    assert await driver.state(thread) == {
        **state,
        "parent_checkpoint": (await driver.state(thread))["parent_checkpoint"],
    }
    assert await driver.show(thread) == shown
    assert await driver.runs(thread) == runs
    renewed = await ttl_of(http, thread)
    assert datetime.fromisoformat(renewed["expires_at"]) - datetime.fromisoformat(over["expires_at"]) >= 60 * MINUTE
    assert await sweep(served_db) == 0
    after = await driver.wait(thread, "chat", {"messages": [{"role": "user", "content": "d"}]})
    assert len(after["messages"]) == 8


async def test_an_interrupted_thread_can_be_answered_after_its_history_is_gone(
    driver: Driver, served_db: Database
) -> None:
    thread = await driver.thread(ttl={"ttl": 60, "strategy": "keep_latest"})
    await driver.wait(thread, "nested_hitl", {"x": "a"})
    asked = await driver.show(thread)
    assert asked["status"] == "interrupted"
    await expire(served_db, thread)
    assert await sweep(served_db) == 1
    assert await driver.show(thread) == asked
    await driver.wait(thread, "nested_hitl", command={"resume": "yes"})
    assert (await driver.show(thread))["status"] == "idle"


async def test_threads_that_live_for_no_time_do_not_keep_the_sweep_going(driver: Driver, served_db: Database) -> None:
    for strategy in ("keep_latest", "keep_latest", "delete"):
        await driver.thread(ttl={"ttl": 0, "strategy": strategy})
    assert await sweep(served_db) == 3
    assert await sweep(served_db) == 2


async def test_a_thread_with_a_run_in_flight_does_not_expire(
    http: httpx.AsyncClient, driver: Driver, served_db: Database, gate: Gate
) -> None:
    thread = await driver.thread(ttl={"ttl": 60})
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    await expire(served_db, thread)
    assert await sweep(served_db) == 0
    gate.open()
    assert (await driver.join(thread, run["run_id"]))["log"] == ["first", "gate", "last"]
    await driver.settled(thread)
    await expire(served_db, thread)
    assert await sweep(served_db) == 1
    assert (await http.get(f"/threads/{thread}")).status_code == 404


async def test_a_thread_with_a_run_for_later_does_not_expire(driver: Driver, served_db: Database) -> None:
    thread = await driver.thread(ttl={"ttl": 60})
    run = await driver.start(thread, "echo", {"x": "a"}, after_seconds=3600)
    await expire(served_db, thread)
    assert await sweep(served_db) == 0
    await driver.cancel(thread, run["run_id"])
    await expire(served_db, thread)
    assert await sweep(served_db) == 1


async def test_a_sweep_is_limited_and_begins_with_the_longest_expired(
    http: httpx.AsyncClient, driver: Driver, served_db: Database
) -> None:
    first, second, third = [await driver.thread(ttl={"ttl": 60}) for _ in range(3)]
    for thread in (second, first, third):
        await expire(served_db, thread)
    assert await sweep(served_db, limit=2) == 2
    assert [(await http.get(f"/threads/{each}")).status_code for each in (first, second, third)] == [404, 404, 200]


async def test_the_same_id_may_be_used_again(driver: Driver, served_db: Database) -> None:
    thread = await driver.thread(ttl={"ttl": 60})
    await driver.wait(thread, "echo", {"x": "a"})
    await expire(served_db, thread)
    assert await sweep(served_db) == 1
    assert await driver.thread(thread_id=thread) == thread
    assert await driver.history(thread) == []
    assert (await driver.wait(thread, "echo", {"x": "b"}))["x"] == "b!"


async def converse(driver: Driver, thread: str) -> list[Any]:
    return [await driver.wait(thread, "nested", {"x": "a"}) for _ in range(8)]


async def test_many_threads_expire_while_runs_go_on(driver: Driver, served_db: Database) -> None:
    """Runs are neither held up for good nor harmed, and none of their threads is missing or busy in the end."""
    undisturbed = await converse(driver, await driver.thread())
    before = await served_db.read(rows)
    living = [await driver.thread(ttl={"ttl": 60}) for _ in range(6)]
    expired = [await driver.thread(ttl={"ttl": 0, "strategy": "delete" if i % 3 else "keep_latest"}) for i in range(60)]
    for thread in expired[:10]:
        await driver.wait(thread, "echo", {"x": "a"})
    await expire(served_db, *expired)
    swept, *answers = await asyncio.gather(sweep(served_db), *(converse(driver, thread) for thread in living))
    assert swept == 60
    assert answers == [undisturbed] * len(living)
    for thread in living:
        assert (await driver.show(thread))["status"] == "idle"
        assert await driver.statuses(thread) == ["success"] * 8
    await expire(served_db, *living, *expired)
    assert await sweep(served_db) == len(living) + 20
    await driver.http.post("/threads/prune", json={"thread_ids": expired})
    assert await served_db.read(rows) == before


async def test_the_server_sweeps_by_itself(tmp_path: Path) -> None:
    ttl = {"default_ttl": 0.0001, "sweep_interval_minutes": 0.001}
    async with served(tmp_path, checkpointer={"ttl": ttl}) as app, connected(app) as http:
        driver = Driver(http)
        thread = await driver.thread()

        async def gone() -> bool:
            return (await http.get(f"/threads/{thread}")).status_code == 404

        await eventually(gone, "the thread's expiry")
