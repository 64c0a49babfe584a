"""Cancelling and deleting runs in every state (spec 7.1, 7.2)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import connected, served
from tests.driver import Driver
from tests.gate import Gate
from tests.sse import names

ACTIONS = ["interrupt", "rollback"]


async def at_gate(driver: Driver, gate: Gate, graph: str = "gated") -> tuple[str, str]:
    """A new thread with a run that waits at the gate."""
    thread = await driver.thread()
    run = await driver.start(thread, graph, gate.state)
    await gate.reached()
    return thread, run["run_id"]


async def checkpoints(driver: Driver, thread: str) -> list[str]:
    return [state["checkpoint"]["checkpoint_id"] for state in await driver.history(thread)]


async def test_a_running_run_is_interrupted_at_once(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate)
    response = await driver.cancel(thread, run)
    assert (response.status_code, response.content) == (202, b"")
    assert (await driver.run(thread, run))["status"] == "interrupted"
    settled = await driver.settled(thread)
    assert settled["status"] == "interrupted", "nodes are left to run"
    assert settled["error"]["error"] == "UserInterrupt"
    assert settled["values"]["log"] == ["first"]
    assert (await driver.state(thread))["next"] == ["gate"]


async def test_a_cancelled_run_can_be_taken_up_again(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate)
    await driver.cancel(thread, run)
    await driver.settled(thread)
    gate.open()
    assert (await driver.wait(thread, "gated"))["log"] == ["first", "gate", "last"]
    settled = await driver.show(thread)
    assert (settled["status"], settled["error"]) == ("idle", None)


async def test_a_run_cancelled_without_a_checkpoint_leaves_the_thread_idle(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state, durability="exit")
    await gate.reached()
    await driver.cancel(thread, run["run_id"])
    assert (await driver.settled(thread))["status"] in ("idle", "interrupted")
    assert (await driver.run(thread, run["run_id"]))["status"] == "interrupted"


async def test_a_running_run_is_rolled_back(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "before"})
    before = await checkpoints(driver, thread)
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    assert (await driver.cancel(thread, run["run_id"], action="rollback")).status_code == 202
    assert (await driver.http.get(f"/threads/{thread}/runs/{run['run_id']}")).status_code == 404
    settled = await driver.settled(thread)
    assert settled["status"] == "idle"
    assert settled["error"]["error"] == "UserRollback"
    assert settled["values"]["x"] == "before!"
    assert await checkpoints(driver, thread) == before


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("wait", ["true", "yes", "1"])
async def test_waiting_for_the_end_of_a_running_run(driver: Driver, gate: Gate, action: str, wait: str) -> None:
    thread, run = await at_gate(driver, gate)
    response = await driver.cancel(thread, run, wait=wait, action=action)
    assert response.status_code == 200
    path = f"/threads/{thread}/runs/{run}"
    assert response.headers["content-location"] == path
    assert response.headers["location"] == f"{path}/join"
    assert "__error__" not in json.loads(response.content)
    assert (await driver.show(thread))["status"] != "busy", "it has really stopped"


@pytest.mark.parametrize("wait", ["false", "0", "no", ""])
async def test_not_waiting(driver: Driver, gate: Gate, wait: str) -> None:
    thread, run = await at_gate(driver, gate)
    assert (await driver.cancel(thread, run, wait=wait)).status_code == 202


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
async def test_a_queued_run(driver: Driver, gate: Gate, action: str, wait: bool) -> None:
    thread, running = await at_gate(driver, gate)
    queued = (await driver.start(thread, "echo", {"x": "queued"}))["run_id"]
    response = await driver.cancel(thread, queued, action=action, wait="true" if wait else "false")
    assert response.status_code == (200 if wait else 202)
    if wait:
        assert response.json() == {}
    assert (await driver.show(thread))["status"] == "busy", "the other one is running"
    expected = {running: "running"} | ({queued: "interrupted"} if action == "interrupt" else {})
    assert {run["run_id"]: run["status"] for run in await driver.runs(thread)} == expected
    gate.open()
    settled = await driver.settled(thread)
    assert settled["status"] == "idle"
    assert settled["values"]["log"] == ["first", "gate", "last"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_run_that_is_not_due_yet(driver: Driver, action: str) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "echo", {"x": "a"}, after_seconds=60)
    assert (await driver.cancel(thread, run["run_id"], action=action)).status_code == 202
    assert (await driver.show(thread))["status"] == "idle"
    assert await driver.statuses(thread) == (["interrupted"] if action == "interrupt" else [])
    assert (await driver.wait(thread, "echo", {"x": "b"}))["x"] == "b!"


@pytest.mark.parametrize("graph", ["echo", "raiser", "hitl"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_a_finished_run_cannot_be_cancelled(driver: Driver, graph: str, action: str) -> None:
    thread = await driver.thread()
    await driver.wait(thread, graph, {"x": "value"})
    (run,) = await driver.runs(thread)
    for wait in ("true", "false"):
        assert (await driver.cancel(thread, run["run_id"], action=action, wait=wait)).status_code == 404
    assert await driver.runs(thread) == [run]


async def test_a_run_is_cancelled_once(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate, "deaf")
    assert (await driver.cancel(thread, run)).status_code == 202
    assert (await driver.cancel(thread, run)).status_code == 404
    gate.open()


async def test_what_cannot_be_cancelled(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate)
    other = await driver.thread()
    for of_thread, of_run, params, status in (
        (thread, driver.new_id(), {}, 404),
        (other, run, {}, 404),
        (driver.new_id(), run, {}, 404),
        ("x", run, {}, 422),
        (thread, "x", {}, 422),
        (thread, run, {"action": "explode"}, 422),
        (thread, run, {"action": ""}, 422),
    ):
        assert (await driver.cancel(of_thread, of_run, **params)).status_code == status, (of_thread, of_run, params)
    assert (await driver.run(thread, run))["status"] == "running"


@pytest.mark.parametrize("action", ACTIONS)
async def test_the_stream_of_a_cancelled_run_just_ends(driver: Driver, gate: Gate, action: str) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.streaming("POST", f"/threads/{thread}/runs/stream", json=body) as events:
        await gate.reached()
        (run,) = await driver.runs(thread)
        await driver.cancel(thread, run["run_id"], action=action)
        assert names([event async for event in events]) == ["metadata", "updates"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_the_next_run_starts_when_the_cancelled_one_has_stopped(driver: Driver, gate: Gate, action: str) -> None:
    thread, run = await at_gate(driver, gate, "deaf")
    queued = await driver.start(thread, "echo", {"x": "queued"})
    await driver.cancel(thread, run, action=action)
    assert (await driver.run(thread, queued["run_id"]))["status"] == "pending"
    gate.open()
    assert (await driver.settled(thread))["values"]["x"] == "queued!"


async def test_a_stateless_run_is_gone_after_it_is_cancelled(driver: Driver, gate: Gate) -> None:
    run = (await driver.http.post("/runs", json={"assistant_id": "gated", "input": gate.state})).json()
    await gate.reached()
    assert (await driver.cancel(run["thread_id"], run["run_id"], wait="true")).status_code == 200
    assert (await driver.http.get(f"/threads/{run['thread_id']}")).status_code == 404


@pytest.mark.parametrize("round_", range(10))
async def test_cancelling_races_with_finishing(driver: Driver, gate: Gate, round_: int) -> None:
    """Whoever wins, run and thread agree, and everybody who waits is told."""
    thread, run = await at_gate(driver, gate)
    waiting = asyncio.create_task(driver.join(thread, run))
    await asyncio.sleep(0.01)
    gate.open()
    await asyncio.sleep(0.002 * round_)
    cancelled = await driver.cancel(thread, run)
    await waiting
    thread_status = (await driver.settled(thread))["status"]
    status = (await driver.run(thread, run))["status"]
    if cancelled.status_code == 404:
        assert (status, thread_status) == ("success", "idle")
    else:
        assert status == "interrupted"
    assert (await driver.wait(thread, "echo", {"x": "a"}))["x"] == "a!"


# --- many at once


async def cancel_many(driver: Driver, body: Any, **params: str) -> int:
    return (await driver.http.post("/runs/cancel", json=body, params=params)).status_code


async def test_some_runs_of_a_thread(driver: Driver, gate: Gate) -> None:
    thread, running = await at_gate(driver, gate)
    queued = [(await driver.start(thread, "echo", {"x": str(n)}))["run_id"] for n in range(3)]
    body = {"thread_id": thread, "run_ids": [running, queued[1], driver.new_id()]}
    assert await cancel_many(driver, body) == 204
    settled = await driver.settled(thread)
    assert settled["values"]["x"] == "2!"
    assert await driver.statuses(thread) == ["interrupted", "success", "interrupted", "success"]


async def test_some_runs_of_a_thread_are_rolled_back(driver: Driver, gate: Gate) -> None:
    thread, running = await at_gate(driver, gate)
    queued = (await driver.start(thread, "echo", {"x": "a"}))["run_id"]
    assert await cancel_many(driver, {"thread_id": thread, "run_ids": [running, queued]}, action="rollback") == 204
    await driver.settled(thread)
    assert await driver.runs(thread) == []
    assert await driver.history(thread) == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", ["success", "interrupted", "success"]),
        ("running", ["interrupted", "success", "success"]),
        ("all", ["interrupted", "interrupted", "success"]),
    ],
)
async def test_all_runs_in_a_state(tmp_path: Path, gate: Gate, status: str, expected: list[str]) -> None:
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        thread, _ = await at_gate(driver, gate)
        await driver.start(thread, "echo", {"x": "queued"})
        assert await cancel_many(driver, {"status": status}) == 204
        gate.open()
        await driver.settled(thread)
        await driver.wait(thread, "echo", {"x": "afterwards"})
        assert await driver.statuses(thread) == expected
        assert await cancel_many(driver, {"status": status}) == 404, "nothing is left"


BAD_BODIES: list[tuple[Any, int]] = [
    ({}, 422),
    ({"status": "done"}, 422),
    ({"thread_id": "00000000-0000-4000-8000-000000000000"}, 422),
    ({"run_ids": ["00000000-0000-4000-8000-000000000000"]}, 422),
    ({"status": "all", "thread_id": "00000000-0000-4000-8000-000000000000", "run_ids": []}, 422),
    ({"status": "all", "run_ids": ["00000000-0000-4000-8000-000000000000"]}, 422),
    ({"thread_id": "x", "run_ids": ["00000000-0000-4000-8000-000000000000"]}, 422),
    ({"thread_id": "00000000-0000-4000-8000-000000000000", "run_ids": ["x"]}, 422),
    (
        {
            "thread_id": "00000000-0000-4000-8000-000000000000",
            "run_ids": ["00000000-0000-4000-8000-000000000001"],
        },
        404,
    ),
]


@pytest.mark.parametrize(("body", "status"), BAD_BODIES)
async def test_cancelling_many_is_refused(driver: Driver, body: Any, status: int) -> None:
    assert await cancel_many(driver, body) == status


async def test_cancelling_many_with_an_unknown_action(driver: Driver) -> None:
    body = {"thread_id": driver.new_id(), "run_ids": [driver.new_id()]}
    assert await cancel_many(driver, body, action="explode") == 422


# --- deleting


async def test_deleting_a_finished_run_deletes_its_checkpoints(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "first"})
    before = await driver.history(thread)
    await driver.wait(thread, "echo", {"x": "second"})
    first, second = await driver.runs(thread)
    path = f"/threads/{thread}/runs/{second['run_id']}"
    response = await driver.http.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert await driver.runs(thread) == [first]
    assert await driver.history(thread) == before
    assert (await driver.http.get(path)).status_code == 404
    assert (await driver.http.delete(path)).status_code == 404
    assert (await driver.show(thread))["status"] == "idle"


async def test_deleting_a_running_run_stops_it_first(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate)
    assert (await driver.http.delete(f"/threads/{thread}/runs/{run}")).status_code == 204
    assert (await driver.show(thread))["status"] == "idle"
    assert await driver.runs(thread) == []
    assert await driver.history(thread) == []


async def test_deleting_a_queued_run(driver: Driver, gate: Gate) -> None:
    thread, running = await at_gate(driver, gate)
    queued = (await driver.start(thread, "echo", {"x": "a"}))["run_id"]
    assert (await driver.http.delete(f"/threads/{thread}/runs/{queued}")).status_code == 204
    assert (await driver.show(thread))["status"] == "busy"
    gate.open()
    assert (await driver.settled(thread))["values"]["log"] == ["first", "gate", "last"]
    assert [run["run_id"] for run in await driver.runs(thread)] == [running]


async def test_deleting_the_only_run_when_it_is_not_due_yet(driver: Driver) -> None:
    thread = await driver.thread()
    run = (await driver.start(thread, "echo", {"x": "a"}, after_seconds=60))["run_id"]
    assert (await driver.http.delete(f"/threads/{thread}/runs/{run}")).status_code == 204
    assert (await driver.show(thread))["status"] == "idle"


async def test_deleting_a_run_that_is_being_cancelled(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate, "deaf")
    await driver.cancel(thread, run)
    deleting = asyncio.create_task(driver.http.delete(f"/threads/{thread}/runs/{run}"))
    await asyncio.sleep(0.05)
    gate.open()
    assert (await deleting).status_code == 204
    assert await driver.runs(thread) == []
    assert (await driver.settled(thread))["status"] == "idle"
    assert await driver.history(thread) == []


@pytest.mark.parametrize("round_", range(6))
async def test_deleting_races_with_finishing(driver: Driver, gate: Gate, round_: int) -> None:
    thread, run = await at_gate(driver, gate)
    gate.open()
    await asyncio.sleep(0.002 * round_)
    assert (await driver.http.delete(f"/threads/{thread}/runs/{run}")).status_code == 204
    assert (await driver.settled(thread))["status"] == "idle"
    assert await driver.runs(thread) == []
    assert await driver.history(thread) == []


async def test_what_cannot_be_deleted(driver: Driver) -> None:
    thread, other = await driver.thread(), await driver.thread()
    run = (await driver.start(thread, "echo", {"x": "a"}))["run_id"]
    await driver.settled(thread)
    for path, status in (
        (f"/threads/{thread}/runs/{driver.new_id()}", 404),
        (f"/threads/{other}/runs/{run}", 404),
        (f"/threads/{driver.new_id()}/runs/{run}", 404),
        (f"/threads/x/runs/{run}", 422),
        (f"/threads/{thread}/runs/x", 422),
    ):
        assert (await driver.http.delete(path)).status_code == status, path
    assert await driver.statuses(thread) == ["success"]


async def test_the_stream_of_a_deleted_run_ends(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate)
    async with driver.streaming("GET", f"/threads/{thread}/runs/{run}/stream") as events:
        assert (await driver.http.delete(f"/threads/{thread}/runs/{run}")).status_code == 204
        assert [event async for event in events] == []


async def test_deleting_a_thread_stops_its_runs(driver: Driver, gate: Gate) -> None:
    thread, run = await at_gate(driver, gate)
    async with driver.streaming("GET", f"/threads/{thread}/runs/{run}/stream") as events:
        assert (await driver.http.delete(f"/threads/{thread}")).status_code == 204
        assert [event async for event in events] == []
    assert (await driver.http.get(f"/threads/{thread}")).status_code == 404


async def test_deleting_an_assistant_cancels_its_runs(driver: Driver, gate: Gate) -> None:
    assistant = (await driver.http.post("/assistants", json={"graph_id": "gated"})).json()["assistant_id"]
    thread = await driver.thread()
    run = await driver.start(thread, assistant, gate.state)
    queued = await driver.start(thread, assistant, gate.state)
    await gate.reached()
    assert (await driver.http.delete(f"/assistants/{assistant}")).status_code == 204
    await driver.settled(thread)
    assert (await driver.run(thread, run["run_id"]))["status"] == "interrupted"
    assert (await driver.run(thread, queued["run_id"]))["status"] == "interrupted"
