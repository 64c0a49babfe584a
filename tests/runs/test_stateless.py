"""Runs on a thread of their own, and runs that begin later (spec 5.4, 5.5)."""

from __future__ import annotations

import time

from tests.driver import Driver, eventually
from tests.gate import Gate


async def gone(driver: Driver, thread: str) -> None:
    async def look() -> bool:
        return (await driver.http.get(f"/threads/{thread}")).status_code == 404

    await eventually(look, f"thread {thread} vanishing")


async def test_run_and_thread_are_gone_afterwards(driver: Driver, gate: Gate) -> None:
    run = (await driver.http.post("/runs", json={"assistant_id": "gated", "input": gate.state})).json()
    thread, path = run["thread_id"], f"/threads/{run['thread_id']}/runs/{run['run_id']}"
    assert run["kwargs"]["temporary"] is True
    await gate.reached()
    assert (await driver.show(thread))["status"] == "busy"
    assert (await driver.http.get(path)).status_code == 200
    gate.open()
    await gone(driver, thread)
    assert (await driver.http.get(path)).status_code == 404


async def test_no_checkpoint_is_written(driver: Driver, gate: Gate) -> None:
    run = (await driver.http.post("/runs", json={"assistant_id": "gated", "input": gate.state})).json()
    await gate.reached()
    assert (await driver.state(run["thread_id"]))["values"] in ({}, None)
    gate.open()
    await gone(driver, run["thread_id"])


async def test_a_failed_one_is_gone_too(driver: Driver) -> None:
    response = await driver.http.post("/runs/wait", json={"assistant_id": "raiser", "input": {"x": "value"}})
    assert response.json() == {"__error__": {"error": "ValueError", "message": "bad value"}}
    await gone(driver, response.headers["content-location"].split("/")[2])


async def test_a_kept_one_leaves_an_ordinary_thread(driver: Driver) -> None:
    body = {"assistant_id": "echo", "input": {"x": "a"}, "on_completion": "keep", "metadata": {"mine": 1}}
    run = (await driver.http.post("/runs", json=body)).json()
    thread = await driver.settled(run["thread_id"])
    assert run["kwargs"]["temporary"] is False
    assert thread["values"]["x"] == "a!"
    assert thread["metadata"]["mine"] == 1
    assert await driver.statuses(run["thread_id"]) == ["success"]
    assert (await driver.wait(run["thread_id"], "echo", {"x": "b"}))["n"] == 2


async def test_an_interrupt_is_shown_but_cannot_be_answered(driver: Driver) -> None:
    response = await driver.http.post("/runs/wait", json={"assistant_id": "hitl", "input": {"x": "a"}})
    assert [each["value"] for each in response.json()["__interrupt__"]] == [{"question": "ok?"}]
    await gone(driver, response.headers["content-location"].split("/")[2])


async def test_a_kept_interrupt_can_be_answered(driver: Driver) -> None:
    body = {"assistant_id": "hitl", "input": {"x": "a"}, "on_completion": "keep"}
    response = await driver.http.post("/runs/wait", json=body)
    thread = response.headers["content-location"].split("/")[2]
    assert (await driver.settled(thread))["status"] == "interrupted"
    assert (await driver.wait(thread, "hitl", command={"resume": "fine"}))["x"] == "fine!"


async def test_a_later_run_is_pending_and_its_thread_busy_at_once(driver: Driver) -> None:
    thread = await driver.thread()
    before = time.time()
    run = await driver.start(thread, "echo", {"x": "a"}, after_seconds=60)
    assert run["status"] == "pending"
    assert run["created_at"] > run["updated_at"]
    assert (await driver.show(thread))["status"] == "busy"
    refused = await driver.http.post(
        f"/threads/{thread}/runs", json={"assistant_id": "echo", "multitask_strategy": "reject"}
    )
    assert refused.status_code == 409
    assert (await driver.http.post(f"/threads/{thread}/state", json={"values": {"x": "b"}})).status_code == 409
    assert await driver.statuses(thread) == ["pending"]
    assert time.time() - before < 60, "or it has rightly started"


async def test_later_runs_start_when_they_are_due(driver: Driver) -> None:
    """Also the second and third: each must set the clock for the next."""
    threads = [await driver.thread() for _ in range(3)]
    began = time.time()
    for thread, delay in zip(threads, (0.2, 0.9, 0.5), strict=True):
        await driver.start(thread, "echo", {"x": "a"}, after_seconds=delay)
    ended = {}
    for thread in threads:
        assert (await driver.settled(thread))["values"]["x"] == "a!"
        (run,) = await driver.runs(thread)
        ended[thread] = run
    assert time.time() - began >= 0.9
    for run in ended.values():
        assert run["updated_at"] > run["created_at"], "not before its time"


async def test_a_run_created_after_a_later_one_does_not_wait_for_it(driver: Driver) -> None:
    thread = await driver.thread()
    later = await driver.start(thread, "echo", {"x": "later"}, after_seconds=60)
    result = await driver.wait(thread, "echo", {"x": "now"})
    assert result["x"] == "now!"
    assert (await driver.show(thread))["status"] == "busy"
    assert (await driver.cancel(thread, later["run_id"])).status_code == 202
    assert (await driver.show(thread))["status"] == "idle"


async def test_waiting_for_a_later_run(driver: Driver) -> None:
    assert (await driver.wait(None, "echo", {"x": "a"}, after_seconds=0.3))["x"] == "a!"
