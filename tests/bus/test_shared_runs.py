"""Runs that one process creates and another one executes: clients see no difference.

The workers' safety net is out of reach here: whatever happens was signalled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from tests.bus.events import until
from tests.bus.fleet import Fleet
from tests.driver import Driver
from tests.gate import Gate
from tests.sse import names


@pytest.fixture
async def driver(fleet: Fleet) -> AsyncIterator[Driver]:
    """A client of the API process; there is a worker beside it."""
    api = fleet.start("api")
    fleet.worker()
    async with fleet.driver(api) as driver:
        yield driver


async def test_waiting_for_a_run(driver: Driver) -> None:
    assert await driver.wait(None, "echo", {"x": "a"}) == {"x": "a!", "n": 1, "log": []}
    thread = await driver.thread()
    assert await driver.wait(thread, "failing", {"x": "a"}) == {
        "__error__": {"error": "ValueError", "message": "the node failed"}
    }


@pytest.mark.parametrize("resumable", [True, False])
async def test_streaming_a_run(driver: Driver, resumable: bool) -> None:
    for thread in (None, await driver.thread()):
        fields = {"stream_mode": "custom", "stream_resumable": resumable}
        events = await driver.stream(thread, "flooding", {"x": [300, 2_000]}, **fields)
        assert events[0].name == "metadata"
        assert [event.data["number"] for event in events[1:]] == list(range(300))
        assert {event.id is not None for event in events} == {resumable}


async def test_many_runs_at_once(driver: Driver) -> None:
    results = await asyncio.gather(*(driver.wait(None, "echo", {"x": str(n)}) for n in range(50)))
    assert [result["x"] for result in results] == [f"{n}!" for n in range(50)]


async def test_runs_of_one_thread_follow_each_other(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    waiting = [asyncio.create_task(driver.wait(thread, "echo", {"x": str(n)})) for n in range(3)]
    await gate.reached()
    gate.open()
    assert {result["x"] for result in await asyncio.gather(*waiting)} == {"0!", "1!", "2!"}


async def test_a_run_for_later(driver: Driver) -> None:
    assert (await driver.wait(None, "echo", {"x": "a"}, after_seconds=0.5))["x"] == "a!"


async def test_joining(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state, stream_mode="updates")
    await gate.reached()
    path = f"/threads/{thread}/runs/{run['run_id']}"
    async with (
        driver.streaming("GET", f"{path}/stream") as one,
        driver.streaming("GET", f"{path}/stream") as two,
        driver.streaming("GET", f"/threads/{thread}/stream") as of_thread,
    ):
        joined = asyncio.create_task(driver.join(thread, run["run_id"]))
        await asyncio.sleep(0.5)
        gate.open()
        first, second = [event async for event in one], [event async for event in two]
        assert [next(iter(event.data)) for event in first] == ["gate", "last"]
        assert second == first
        assert (await joined)["log"] == ["first", "gate", "last"]
        assert [(await anext(of_thread)).name for _ in range(3)] == ["updates", "updates", "metadata"]


async def test_resuming_at_another_process(fleet: Fleet, driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates", "stream_resumable": True}
    async with driver.streaming("POST", f"/threads/{thread}/runs/stream", json=body) as events:
        seen = [await anext(events), await anext(events)]
    await gate.reached()
    (run,) = await driver.runs(thread)
    async with fleet.driver(fleet.start("api")) as other:
        path = f"/threads/{thread}/runs/{run['run_id']}/stream"
        async with other.streaming("GET", path, headers={"Last-Event-ID": str(seen[0].id)}) as events:
            assert await anext(events) == seen[1]
            gate.open()
            rest = [event async for event in events]
        assert [next(iter(event.data)) for event in rest] == ["gate", "last"]
        assert await driver.rejoin(thread, run["run_id"], "-1") == [*seen, *rest]


async def test_cancelling(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    answer = await driver.cancel(thread, run["run_id"], wait="true")
    assert answer.json()["log"] == ["first"]
    assert (await driver.show(thread))["status"] == "interrupted"


async def test_deleting_and_rolling_back(driver: Driver, gates: Callable[[], Gate]) -> None:
    gate = gates()
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    answer = await driver.http.delete(f"/threads/{thread}/runs/{run['run_id']}")
    assert answer.status_code == 204
    assert await driver.runs(thread) == []
    assert (await driver.show(thread))["status"] == "idle"
    gate = gates()
    await driver.start(thread, "gated", gate.state)
    await gate.reached()
    assert (await driver.wait(thread, "echo", {"x": "a"}, multitask_strategy="rollback"))["x"] == "a!"
    assert len(await driver.runs(thread)) == 1


async def test_deleting_the_thread_of_a_run(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    async with driver.streaming("GET", f"/threads/{thread}/runs/{run['run_id']}/stream") as events:
        await asyncio.sleep(0.2)
        assert (await driver.http.delete(f"/threads/{thread}")).status_code == 204
        assert [event async for event in events] == []


async def test_a_client_that_goes_away_cancels_its_run(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "on_disconnect": "cancel"}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/wait", json=body):
        await gate.reached()
    (run,) = await driver.runs(thread)
    await driver.reaches(thread, run["run_id"], "interrupted")
    await driver.settled(thread)


async def test_a_run_that_is_cancelled_in_the_queue_of_another_process(
    fleet: Fleet, driver: Driver, gate: Gate
) -> None:
    """No worker ever had it, so that nobody but its own process knows who listens."""
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    await gate.reached()
    body = {"assistant_id": "echo", "input": {"x": "a"}}
    async with (
        driver.streaming("POST", f"/threads/{thread}/runs/stream", json=body) as events,
        fleet.driver(fleet.start("api")) as other,
    ):
        (_, queued) = await driver.runs(thread)
        assert (await other.cancel(thread, queued["run_id"])).status_code == 202
        async with asyncio.timeout(4):  # before the next heartbeat
            assert [event async for event in events] == []


async def test_state_edits_are_told_to_other_processes(fleet: Fleet, driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "a"})
    async with fleet.driver(fleet.start("api")) as other:
        params = {"stream_modes": "state_update"}
        async with other.streaming("GET", f"/threads/{thread}/stream", params=params) as events:
            await asyncio.sleep(0.3)
            edit = await driver.http.post(f"/threads/{thread}/state", json={"values": {"x": "edited"}})
            assert edit.status_code == 200
            assert (await anext(events)).data["state"]["values"]["x"] == "edited"


async def test_work_is_shared(fleet: Fleet, driver: Driver, gate: Gate) -> None:
    other = fleet.worker()
    first = fleet.worker(jobs_per_worker=2)
    threads = [await driver.thread() for _ in range(30)]
    await asyncio.gather(*(driver.start(thread, "gated", gate.state) for thread in threads))
    workers = [server.app.state.server.worker for server in (other, first)]
    await until(lambda: all(worker.figures().active > 0 for worker in workers), "both having something to do")
    assert workers[1].figures().active <= 2
    gate.open()
    for thread in threads:
        await driver.settled(thread)


async def test_what_a_stopping_worker_hands_back_goes_on_elsewhere(fleet: Fleet, gate: Gate) -> None:
    async with fleet.driver(fleet.start("api")) as driver:
        thread = await driver.thread()
        with fleet.serving("worker"):
            body = {"assistant_id": "counted", "input": gate.state, "stream_mode": "updates", "durability": "sync"}
            request = driver.streaming("POST", f"/threads/{thread}/runs/stream", json=body)
            events = await request.__aenter__()
            await gate.reached()
            fleet.worker()
        gate.open()
        seen = [event async for event in events]
        await request.__aexit__(None, None, None)
    assert names(seen) == ["metadata", "updates", "metadata", "updates", "updates"]
    assert [json.dumps(event.data) for event in seen if event.name == "metadata"] == [
        json.dumps({"run_id": seen[0].data["run_id"], "attempt": attempt}) for attempt in (1, 2)
    ]
    assert gate.visits == 2
