"""Nodes that do not stop when told to, and nodes that block: the rest of the server must not notice (spec 6.1, 7.1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from tests.conftest import IMPATIENT, connected, served
from tests.driver import Driver, eventually
from tests.gate import Gate

STUBBORN = ["deaf", "sync_blocker", "loop_blocker"]
"""Graphs whose node goes on when it is cancelled: it swallows the cancellation, or blocks a thread, or its event loop."""


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Starlette]:
    async with served(tmp_path, timing=IMPATIENT) as app:
        yield app


@pytest.fixture
async def driver(impatient: Starlette) -> AsyncIterator[Driver]:
    async with connected(impatient) as client:
        yield Driver(client)


async def checkpoints(driver: Driver, thread: str) -> list[str]:
    """The run that wrote each of the thread's checkpoints, newest first."""
    return [state["metadata"]["run_id"] for state in await driver.history(thread)]


async def test_a_node_that_swallows_the_cancellation_cannot_save_its_run(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "swallower", gate.state)
    await gate.reached()
    await driver.cancel(thread, run["run_id"])
    await gate.reached("swallowed")
    settled = await driver.settled(thread)
    assert (await driver.run(thread, run["run_id"]))["status"] == "interrupted"
    assert settled["error"]["error"] == "UserInterrupt"


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize("graph", STUBBORN)
async def test_a_run_that_does_not_stop_is_settled_without_it(
    driver: Driver, gate: Gate, graph: str, action: str
) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "before"})
    run = await driver.start(thread, graph, gate.state, durability="sync")
    await gate.reached()
    assert (await driver.cancel(thread, run["run_id"], action=action, wait="true")).status_code == 200
    settled = await driver.settled(thread)
    assert settled["status"] == ("interrupted" if action == "interrupt" else "idle")
    assert settled["values"]["log"] == (["first"] if action == "interrupt" else [])
    before = await checkpoints(driver, thread)
    gate.open()
    await gate.reached("left")
    await driver.wait(thread, "echo", {"x": "after"})
    history = await checkpoints(driver, thread)
    assert history[-len(before) :] == before
    assert run["run_id"] not in history[: -len(before)], "what the old task does after that reaches nothing"
    shown = await driver.show(thread)
    assert (shown["status"], shown["values"]["x"]) == ("idle", "after!")


@pytest.mark.parametrize("graph", STUBBORN)
async def test_a_thread_can_go_on_while_the_old_task_still_blocks(driver: Driver, gate: Gate, graph: str) -> None:
    thread = await driver.thread()
    await driver.start(thread, graph, gate.state)
    await gate.reached()
    assert (await driver.wait(thread, "echo", {"x": "new"}, multitask_strategy="interrupt"))["x"] == "new!"
    gate.open()
    await gate.reached("left")


@pytest.mark.parametrize("graph", STUBBORN)
async def test_deleting_a_run_that_does_not_stop(driver: Driver, gate: Gate, graph: str) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, graph, gate.state)
    await gate.reached()
    assert (await driver.http.delete(f"/threads/{thread}/runs/{run['run_id']}")).status_code == 204
    assert await driver.runs(thread) == []
    assert (await driver.show(thread))["status"] == "idle"
    gate.open()
    await gate.reached("left")


async def test_an_abandoned_task_is_not_heard_of_again(driver: Driver, gate: Gate) -> None:
    """Nothing it emits is stored behind the end of its run."""
    thread = await driver.thread()
    run = await driver.start(
        thread, "deaf", gate.state, stream_resumable=True, stream_mode="updates", multitask_strategy="enqueue"
    )
    await gate.reached()
    await driver.cancel(thread, run["run_id"], wait="true")
    ended = await driver.rejoin(thread, run["run_id"], "-1")
    gate.open()
    await gate.reached("left")
    await driver.wait(thread, "echo", {"x": "a"})
    assert await driver.rejoin(thread, run["run_id"], "-1") == ended


@pytest.mark.parametrize("graph", ["sync_blocker", "loop_blocker"])
async def test_a_blocking_node_holds_up_nobody_else(driver: Driver, gate: Gate, graph: str) -> None:
    await driver.start(await driver.thread(), graph, gate.state)
    await gate.reached()
    for _ in range(5):
        assert (await driver.http.get("/ok")).status_code == 200
        assert (await driver.wait(await driver.thread(), "echo", {"x": "a"}))["x"] == "a!"
    assert not gate.was_reached("left"), "it still blocks"
    gate.open()
    await gate.reached("left")


async def test_runs_created_right_behind_a_blocking_one_are_not_caught(driver: Driver, gate: Gate) -> None:
    """The loop they are sent to looks healthy: it has just begun to block."""
    await driver.start(await driver.thread(), "loop_blocker", gate.state)
    await gate.reached()
    results = await asyncio.gather(*(driver.wait(None, "echo", {"x": "a"}) for _ in range(10)))
    assert all(result["x"] == "a!" for result in results)
    assert not gate.was_reached("left")
    gate.open()
    await gate.reached("left")


async def test_many_blocking_nodes(driver: Driver, gates: Callable[[], Gate]) -> None:
    made = [gates() for _ in range(4)]
    for gate in made:
        await driver.start(await driver.thread(), "loop_blocker", gate.state)
        await gate.reached()
    assert (await driver.wait(None, "echo", {"x": "a"}))["x"] == "a!"
    for gate in made:
        gate.open()
        await gate.reached("left")


async def test_the_log_says_what_blocks(driver: Driver, gate: Gate) -> None:
    with capture_logs() as logs:
        thread = await driver.thread()
        run = await driver.start(thread, "loop_blocker", gate.state)
        await gate.reached()

        async def look() -> list[str]:
            return [log for log in logs if log["event"] == "a node blocks its event loop"]  # type: ignore[misc]

        (entry,) = await eventually(look, "the log entry")
        gate.open()
        await driver.settled(thread)
    assert entry["run_id"] == run["run_id"]
    assert entry["node"] == "block"
    assert "engine_graphs.py" in entry["stack"]
    assert "block_loop" in entry["stack"]


async def test_a_run_that_finishes_while_it_is_abandoned_is_settled_once(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "deaf", gate.state)
    await gate.reached()
    cancelling = asyncio.create_task(driver.cancel(thread, run["run_id"], wait="true"))
    await asyncio.sleep(IMPATIENT.abandon_s)
    gate.open()
    assert (await cancelling).status_code == 200
    await driver.settled(thread)
    assert await driver.statuses(thread) == ["interrupted"]
