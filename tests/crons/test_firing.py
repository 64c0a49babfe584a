"""Crons that really fire, with the schedule in seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette

from tests.conftest import connected, served
from tests.crons.conftest import EVERY_SECOND, backdate, runs_of, threads_of
from tests.driver import eventually
from waystation.crons import queries
from waystation.timestamps import MICROSECONDS, now_us


async def show(http: httpx.AsyncClient, cron_id: str) -> Any:
    return (await http.get(f"/runs/crons/{cron_id}")).json()


async def test_cron_on_a_thread_fires_second_after_second(sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create()
    cron: Any = await sdk.crons.create_for_thread(
        thread["thread_id"], "echo", schedule=EVERY_SECOND, input={"x": "a"}, metadata={"m": 1}
    )

    runs = await runs_of(sdk, thread["thread_id"], at_least=3)

    for run in runs:
        assert run["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"]
        assert run["metadata"]["m"] == 1
        assert run["kwargs"]["input"] == {"x": "a"}
    seconds = [datetime.fromisoformat(run["created_at"]).replace(microsecond=0) for run in runs]
    assert len(set(seconds)) == len(seconds)
    created = datetime.fromisoformat(cron["created_at"])
    assert min(seconds) >= created.replace(microsecond=0)
    await sdk.crons.delete(cron["cron_id"])


async def test_stateless_cron_keeps_its_threads_if_told_to(sdk: LangGraphClient) -> None:
    cron: Any = await sdk.crons.create(
        "echo", schedule=EVERY_SECOND, input={"x": "a"}, metadata={"tag": "kept"}, on_run_completed="keep"
    )

    threads = await threads_of(sdk, {"tag": "kept"}, at_least=2)

    assert all(thread["values"]["x"] == "a!" for thread in threads)
    await sdk.crons.delete(cron["cron_id"])


async def test_stateless_cron_leaves_nothing_behind(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    cron: Any = await sdk.crons.create("echo", schedule=EVERY_SECOND, input={"x": "a"})

    async def moved_on() -> bool:
        return bool((await show(http, cron["cron_id"]))["next_run_date"] > cron["next_run_date"])

    await eventually(moved_on, "the cron firing")
    await sdk.crons.delete(cron["cron_id"])

    async def nothing_left() -> bool:
        return not await sdk.threads.search()

    await eventually(nothing_left, "the thread of the run going")


async def test_what_the_payload_says_wins_over_the_cron(app: Starlette, sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create()
    cron: Any = await sdk.crons.create_for_thread(
        thread["thread_id"],
        "shown",
        schedule="0 0 1 1 *",
        input={"x": "a"},
        metadata={"a": 1},
        config={"tags": ["t"], "recursion_limit": 9},
    )
    await sdk.crons.update(cron["cron_id"], metadata={"a": 2, "b": 2})
    await backdate(app, cron["cron_id"])
    app.state.server.scheduler.wake()

    run = (await runs_of(sdk, thread["thread_id"]))[0]
    state: Any = await sdk.threads.get_state(thread["thread_id"])

    seen = state["values"]["x"]
    assert {name: run["metadata"][name] for name in ("a", "b")} == {"a": 2, "b": 2}
    assert seen["configurable"]["cron_id"] == cron["cron_id"]
    assert (seen["tags"], seen["recursion_limit"]) == (["t"], 9)


async def test_context_reaches_the_graph(app: Starlette, sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create()
    cron: Any = await sdk.crons.create_for_thread(
        thread["thread_id"], "contextual", schedule="0 0 1 1 *", input={"x": "a"}, context={"tone": "dry"}
    )
    await backdate(app, cron["cron_id"])
    app.state.server.scheduler.wake()

    await runs_of(sdk, thread["thread_id"])
    state: Any = await sdk.threads.get_state(thread["thread_id"])
    assert state["values"]["x"] == {"tone": "dry"}


async def test_disabled_cron_rests_and_does_not_make_up_for_it(
    app: Starlette, sdk: LangGraphClient, http: httpx.AsyncClient
) -> None:
    thread = await sdk.threads.create()
    cron: Any = await sdk.crons.create_for_thread(thread["thread_id"], "echo", schedule="0 0 1 1 *", enabled=False)
    await backdate(app, cron["cron_id"])
    await app.state.server.scheduler.fire_due()
    assert await sdk.runs.list(thread["thread_id"]) == []

    await sdk.crons.update(cron["cron_id"], enabled=True)
    await app.state.server.scheduler.fire_due()

    assert await sdk.runs.list(thread["thread_id"]) == []
    assert (await show(http, cron["cron_id"]))["next_run_date"] > datetime.now(UTC).isoformat()


async def test_cron_fires_until_its_end(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    thread = await sdk.threads.create()
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    cron: Any = await sdk.crons.create_for_thread(
        thread["thread_id"], "echo", schedule=EVERY_SECOND, end_time=end, input={"x": "a"}
    )

    async def over() -> Any:
        shown = await show(http, cron["cron_id"])
        return shown if shown["next_run_date"] is None else None

    shown = await eventually(over, "the end of the cron")
    assert shown["enabled"] is True
    assert 1 <= len(await runs_of(sdk, thread["thread_id"])) <= 2


async def test_slot_that_was_missed_before_the_end_is_not_made_up_for_after_it(
    app: Starlette, sdk: LangGraphClient
) -> None:
    thread = await sdk.threads.create()
    cron: Any = await sdk.crons.create_for_thread(thread["thread_id"], "echo", schedule="* * * * *")
    past = {"end_time": now_us() - 60 * MICROSECONDS, "next_run_date": now_us() - 120 * MICROSECONDS}
    await app.state.server.db.write(queries.update_columns, cron["cron_id"], past)

    await app.state.server.scheduler.fire_due()

    assert await sdk.runs.list(thread["thread_id"]) == []


async def test_cron_that_cannot_fire_does_not_stop_the_others(
    app: Starlette, sdk: LangGraphClient, http: httpx.AsyncClient
) -> None:
    thread, busy = await sdk.threads.create(), await sdk.threads.create()
    running = await sdk.runs.create(busy["thread_id"], "sleeper", input={"n": 60})
    rejected: Any = await sdk.crons.create_for_thread(
        busy["thread_id"], "echo", schedule="0 0 1 1 *", multitask_strategy="reject"
    )
    broken: Any = await sdk.crons.create("echo", schedule="0 0 1 1 *")
    good: Any = await sdk.crons.create_for_thread(thread["thread_id"], "echo", schedule="0 0 1 1 *", input={"x": "a"})
    await app.state.server.db.write(queries.update_columns, broken["cron_id"], {"schedule": "no schedule any more"})
    for cron in (rejected, broken, good):
        await backdate(app, cron["cron_id"])

    await app.state.server.scheduler.fire_due()

    assert len(await runs_of(sdk, thread["thread_id"])) == 1
    assert [run["run_id"] for run in await sdk.runs.list(busy["thread_id"])] == [running["run_id"]]
    assert (await show(http, rejected["cron_id"]))["next_run_date"] == rejected["next_run_date"]
    assert (await show(http, broken["cron_id"]))["next_run_date"] is None
    await sdk.runs.cancel(busy["thread_id"], running["run_id"])


async def test_full_queue_delays_a_slot_and_does_not_lose_it(tmp_path: Path) -> None:
    async with served(tmp_path, max_pending_runs=1, cron_interval_s=0.05) as app, connected(app) as http:
        sdk = LangGraphClient(http)
        thread, other = await sdk.threads.create(), await sdk.threads.create()
        waiting = await sdk.runs.create(other["thread_id"], "echo", after_seconds=600)
        cron: Any = await sdk.crons.create_for_thread(
            thread["thread_id"], "echo", schedule="0 0 1 1 *", input={"x": "a"}
        )
        await backdate(app, cron["cron_id"])
        app.state.server.scheduler.wake()
        await asyncio.sleep(0.2)
        assert await sdk.runs.list(thread["thread_id"]) == []

        await sdk.runs.cancel(other["thread_id"], waiting["run_id"])

        await runs_of(sdk, thread["thread_id"])


# --- a server that was away, and several servers


async def test_slots_that_were_missed_fire_once(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        sdk = LangGraphClient(http)
        thread = await sdk.threads.create()
        cron: Any = await sdk.crons.create_for_thread(
            thread["thread_id"], "echo", schedule="0 0 * * *", input={"x": "a"}
        )
        await app.state.server.scheduler.stop()
        await backdate(app, cron["cron_id"], seconds=10 * 86400)

    async with served(tmp_path) as app, connected(app) as http:
        sdk = LangGraphClient(http)
        assert len(await runs_of(sdk, thread["thread_id"])) == 1
        following = datetime.fromisoformat((await show(http, cron["cron_id"]))["next_run_date"])
        assert timedelta(0) < following - datetime.now(UTC) <= timedelta(days=1)


async def test_many_schedulers_fire_each_slot_once(app: Starlette, sdk: LangGraphClient) -> None:
    """In one process they share a database; `test_two_processes` has one each."""
    threads = [(await sdk.threads.create())["thread_id"] for _ in range(20)]
    crons: list[Any] = [
        await sdk.crons.create_for_thread(thread_id, "echo", schedule="0 0 1 1 *", input={"x": "a"})
        for thread_id in threads
    ]
    for cron in crons:
        await backdate(app, cron["cron_id"])

    await asyncio.gather(*(app.state.server.scheduler.fire_due() for _ in range(4)))

    counts = Counter([len(await runs_of(sdk, thread_id)) for thread_id in threads])
    assert counts == {1: 20}


@pytest.mark.parametrize("change", ["deleted", "disabled"])
async def test_cron_that_changes_while_it_is_due_does_not_fire(
    app: Starlette, sdk: LangGraphClient, change: str
) -> None:
    thread = await sdk.threads.create()
    cron: Any = await sdk.crons.create_for_thread(thread["thread_id"], "echo", schedule="0 0 1 1 *")
    server = app.state.server
    await server.scheduler.stop()
    await backdate(app, cron["cron_id"])
    due = (await server.db.read(queries.due, now_us(), 10))[0]
    if change == "deleted":
        await sdk.crons.delete(cron["cron_id"])
    else:
        await sdk.crons.update(cron["cron_id"], enabled=False)

    assert await server.scheduler._fire(due) is False
    assert await sdk.runs.list(thread["thread_id"]) == []


async def test_crons_can_be_switched_off(tmp_path: Path) -> None:
    async with served(tmp_path, crons_enabled=False) as app, connected(app) as http:
        body = {"assistant_id": "echo", "schedule": EVERY_SECOND}
        assert (await http.post("/runs/crons", json=body)).status_code == 404
        assert (await http.get("/info")).json()["flags"]["crons"] is False
        assert (await http.get(f"/runs/crons/{uuid4()}")).status_code == 404
