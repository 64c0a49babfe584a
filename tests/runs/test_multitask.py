"""What a new run does to those in flight on its thread (spec 7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.driver import Driver
from tests.gate import Gate
from tests.sse import names

Gates = Callable[[], Gate]


async def occupied(driver: Driver, gate: Gate, queued: int = 1) -> tuple[str, list[str]]:
    """A thread that has run once, with a run at the gate and `queued` runs behind it; thread and run ids."""
    thread = await driver.thread()
    await driver.wait(thread, "nested", {"x": "before"})
    runs = [(await driver.start(thread, "gated", gate.state))["run_id"]]
    runs += [(await driver.start(thread, "echo", {"x": f"queued {n}"}))["run_id"] for n in range(queued)]
    await gate.reached()
    return thread, runs


async def by_id(driver: Driver, thread: str) -> dict[str, str]:
    return {run["run_id"]: run["status"] for run in await driver.runs(thread)}


async def test_enqueue_runs_after_the_others(driver: Driver, gate: Gate) -> None:
    thread, runs = await occupied(driver, gate)
    last = await driver.start(thread, "echo", {"x": "last"}, multitask_strategy="enqueue")
    statuses = await by_id(driver, thread)
    assert [statuses[run] for run in [*runs, last["run_id"]]] == ["running", "pending", "pending"]
    assert (await driver.show(thread))["status"] == "busy"
    gate.open()
    settled = await driver.settled(thread)
    assert settled["status"] == "idle"
    assert settled["values"]["x"] == "last!"
    assert set((await by_id(driver, thread)).values()) == {"success"}


@pytest.mark.parametrize("how", ["", "/wait", "/stream"])
async def test_reject_changes_nothing(driver: Driver, gate: Gate, how: str) -> None:
    thread, runs = await occupied(driver, gate)
    before, before_runs = await driver.show(thread), await by_id(driver, thread)
    body = {"assistant_id": "echo", "input": {"x": "no"}, "multitask_strategy": "reject"}
    response = await driver.http.post(f"/threads/{thread}/runs{how}", json=body)
    assert response.status_code == 409
    assert runs[0] in response.json()["detail"]
    assert await driver.show(thread) == before
    assert await by_id(driver, thread) == before_runs
    gate.open()
    assert (await driver.settled(thread))["values"]["x"] == "queued 0!"


async def test_reject_runs_on_a_free_thread(driver: Driver) -> None:
    assert (await driver.wait(await driver.thread(), "echo", {"x": "a"}, multitask_strategy="reject"))["x"] == "a!"


@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback"])
async def test_reject_looks_at_runs_of_any_strategy(driver: Driver, gate: Gate, strategy: str) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state, multitask_strategy=strategy)
    response = await driver.http.post(
        f"/threads/{thread}/runs", json={"assistant_id": "echo", "multitask_strategy": "reject"}
    )
    assert response.status_code == 409


async def test_reject_does_not_count_a_run_that_is_cancelled(driver: Driver, gate: Gate) -> None:
    """It is told to be interrupted; that it takes a moment to stop is not the client's business."""
    thread = await driver.thread()
    run = await driver.start(thread, "deaf", gate.state)
    await gate.reached()
    assert (await driver.cancel(thread, run["run_id"])).status_code == 202
    new = await driver.start(thread, "echo", {"x": "a"}, multitask_strategy="reject")
    assert (await driver.run(thread, new["run_id"]))["status"] == "pending"
    gate.open()
    assert (await driver.settled(thread))["values"]["x"] == "a!"
    assert await driver.statuses(thread) == ["interrupted", "success"]


async def test_interrupt_stops_running_and_queued_runs_at_once(driver: Driver, gates: Gates) -> None:
    gate, second_gate = gates(), gates()
    thread, runs = await occupied(driver, gate, queued=2)
    new = await driver.start(thread, "counted", second_gate.state, multitask_strategy="interrupt")
    statuses = await by_id(driver, thread)
    assert [statuses[run] for run in runs] == ["interrupted"] * 3
    await second_gate.reached()
    shown = await driver.show(thread)
    assert shown["status"] == "busy"
    assert shown["error"] == {"error": "UserInterrupt", "message": f"superseded by run {new['run_id']}"}
    second_gate.open()
    settled = await driver.settled(thread)
    assert (settled["status"], settled["error"]) == ("idle", None)
    assert settled["values"]["log"][-4:] == ["first", "first", "gate", "last"], (
        "it goes on from what the first one left"
    )
    assert (await by_id(driver, thread))[new["run_id"]] == "success"
    assert second_gate.visits == 1


async def test_interrupt_keeps_the_checkpoints(driver: Driver, gate: Gate) -> None:
    thread, runs = await occupied(driver, gate, queued=0)
    await driver.wait(thread, "echo", {"x": "new"}, multitask_strategy="interrupt")
    history = await driver.history(thread)
    assert runs[0] in {state["metadata"].get("run_id") for state in history}


async def test_rollback_deletes_running_and_queued_runs_with_their_checkpoints(driver: Driver, gates: Gates) -> None:
    gate, second_gate = gates(), gates()
    thread, runs = await occupied(driver, gate, queued=2)
    new = await driver.start(thread, "gated", second_gate.state, multitask_strategy="rollback")
    assert not set(runs) & set(await by_id(driver, thread)), "they are gone at once"
    for run in runs:
        assert (await driver.http.get(f"/threads/{thread}/runs/{run}")).status_code == 404
    await second_gate.reached()
    shown = await driver.show(thread)
    assert shown["status"] == "busy"
    assert shown["error"] == {"error": "UserRollback", "message": f"superseded by run {new['run_id']}"}
    second_gate.open()
    settled = await driver.settled(thread)
    assert (settled["status"], settled["error"]) == ("idle", None)
    assert settled["values"]["log"] == ["one", "two", "first", "gate", "last"], "as if the others had never been"
    assert not set(runs) & {state["metadata"].get("run_id") for state in await driver.history(thread)}


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_only_queued_runs_in_the_way(driver: Driver, strategy: str) -> None:
    thread = await driver.thread()
    await driver.start(thread, "echo", {"x": "later"}, after_seconds=60)
    assert (await driver.wait(thread, "echo", {"x": "now"}, multitask_strategy=strategy))["x"] == "now!"
    expected = ["success", "interrupted"] if strategy == "interrupt" else ["success"]
    assert sorted(await driver.statuses(thread), reverse=True) == expected
    assert (await driver.show(thread))["status"] == "idle"


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_nothing_in_the_way(driver: Driver, strategy: str) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "a"})
    await driver.wait(thread, "echo", {"x": "b"}, multitask_strategy=strategy)
    assert await driver.statuses(thread) == ["success", "success"]
    assert (await driver.show(thread))["error"] is None


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_the_stream_of_a_superseded_run_just_ends(driver: Driver, gate: Gate, strategy: str) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.streaming("POST", f"/threads/{thread}/runs/stream", json=body) as events:
        await gate.reached()
        queued = await driver.start(thread, "echo", {"x": "queued"})
        path = f"/threads/{thread}/runs/{queued['run_id']}/stream"
        async with driver.streaming("GET", path) as of_queued:
            await driver.wait(thread, "echo", {"x": "new"}, multitask_strategy=strategy)
            assert [event async for event in of_queued] == []
        assert names([event async for event in events]) == ["metadata", "updates"]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_waiting_for_a_superseded_run_ends(driver: Driver, gate: Gate, strategy: str) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/wait", json=body) as response:
        await gate.reached()
        await driver.start(thread, "echo", {"x": "new"}, multitask_strategy=strategy)
        result = await response.aread()
    assert b"__error__" not in result
    assert b'"first"' in result, "the last values it had"


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_chain_of_superseding_runs_leaves_only_the_last(driver: Driver, gates: Gates, strategy: str) -> None:
    thread = await driver.thread()
    for _ in range(8):
        gate = gates()
        last = await driver.start(thread, "gated", gate.state, multitask_strategy=strategy)
    gate.open()
    await driver.settled(thread)
    statuses = await by_id(driver, thread)
    assert statuses.pop(last["run_id"]) == "success"
    assert set(statuses.values()) == ({"interrupted"} if strategy == "interrupt" else set())


async def test_interrupting_does_not_bring_a_rolled_back_run_to_life(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    doomed = await driver.start(thread, "deaf", gate.state)
    await gate.reached()
    await driver.start(thread, "echo", {"x": "b"}, multitask_strategy="rollback")
    await driver.start(thread, "echo", {"x": "c"}, multitask_strategy="interrupt")
    assert doomed["run_id"] not in await by_id(driver, thread)
    gate.open()
    assert (await driver.settled(thread))["values"]["x"] == "c!"
    assert doomed["run_id"] not in await by_id(driver, thread)
    assert doomed["run_id"] not in {state["metadata"].get("run_id") for state in await driver.history(thread)}


async def test_strategies_do_not_reach_other_threads(driver: Driver, gate: Gate) -> None:
    thread, runs = await occupied(driver, gate, queued=0)
    await driver.wait(await driver.thread(), "echo", {"x": "a"}, multitask_strategy="rollback")
    assert (await by_id(driver, thread))[runs[0]] == "running"
