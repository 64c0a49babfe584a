"""A client that goes away: the run is cancelled or goes on, as the client has chosen (spec 5.2, 6.4, 8.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Driver, eventually
from tests.gate import Gate
from tests.live import LiveServer

FINISHED = ["first", "gate", "last"]


async def one_run(driver: Driver, thread: str) -> Any:
    (run,) = await driver.runs(thread)
    return run


@pytest.mark.parametrize("how", ["wait", "stream"])
@pytest.mark.parametrize("fields", [{}, {"on_disconnect": "continue"}], ids=["by default", "on request"])
async def test_a_run_goes_on_without_its_client(driver: Driver, gate: Gate, how: str, fields: dict[str, Any]) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, **fields}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/{how}", json=body) as response:
        assert response.status_code == 200
        await gate.reached()
    gate.open()
    assert (await driver.settled(thread))["values"]["log"] == FINISHED
    assert (await one_run(driver, thread))["status"] == "success"


@pytest.mark.parametrize("how", ["wait", "stream"])
async def test_a_run_is_cancelled_with_its_client(driver: Driver, gate: Gate, how: str) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "on_disconnect": "cancel"}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/{how}", json=body) as response:
        assert response.status_code == 200
        await gate.reached()
    settled = await driver.settled(thread)
    assert (await one_run(driver, thread))["status"] == "interrupted"
    assert settled["status"] == "interrupted"
    assert settled["error"]["error"] == "UserInterrupt"
    assert settled["values"]["log"] == ["first"]


@pytest.mark.parametrize("how", ["wait", "stream"])
async def test_a_queued_run_is_cancelled_with_its_client(driver: Driver, gate: Gate, how: str) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    body = {"assistant_id": "echo", "input": {"x": "a"}, "on_disconnect": "cancel"}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/{how}", json=body) as response:
        run_id = response.headers["content-location"].split("/")[-1]
        assert (await driver.run(thread, run_id))["status"] == "pending"
    await driver.reaches(thread, run_id, "interrupted")
    gate.open()
    assert (await driver.settled(thread))["values"]["log"] == FINISHED


@pytest.mark.parametrize("how", ["wait", "stream"])
async def test_a_stateless_run_is_cancelled_and_gone(driver: Driver, gate: Gate, how: str) -> None:
    body = {
        "assistant_id": "gated",
        "input": gate.state,
        "on_disconnect": "cancel",
        "metadata": {"mark": gate.state["gate"]},
    }
    async with driver.http.stream("POST", f"/runs/{how}", json=body) as response:
        assert response.status_code == 200
        await gate.reached()

    async def look() -> bool:
        found = await driver.http.post("/threads/search", json={"metadata": {"mark": gate.state["gate"]}})
        return bool(found.json() == [])

    await eventually(look, "the thread vanishing")


@pytest.mark.parametrize("value", ["true", "yes", "1", "True"])
@pytest.mark.parametrize("how", ["join", "stream"])
async def test_joining_can_take_the_run_along(driver: Driver, gate: Gate, how: str, value: str) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    path = f"/threads/{thread}/runs/{run['run_id']}/{how}"
    async with driver.http.stream("GET", path, params={"cancel_on_disconnect": value}) as response:
        assert response.status_code == 200
    await driver.settled(thread)
    assert (await one_run(driver, thread))["status"] == "interrupted"


@pytest.mark.parametrize("params", [{}, {"cancel_on_disconnect": "false"}, {"cancel_on_disconnect": "0"}])
@pytest.mark.parametrize("how", ["join", "stream"])
async def test_joining_leaves_the_run_alone(driver: Driver, gate: Gate, how: str, params: dict[str, str]) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    async with driver.http.stream("GET", f"/threads/{thread}/runs/{run['run_id']}/{how}", params=params) as response:
        assert response.status_code == 200
    gate.open()
    await driver.settled(thread)
    assert (await one_run(driver, thread))["status"] == "success"


async def test_a_client_that_reads_to_the_end_cancels_nothing(driver: Driver) -> None:
    thread = await driver.thread()
    for how in ("wait", "stream"):
        body = {"assistant_id": "echo", "input": {"x": "a"}, "on_disconnect": "cancel"}
        response = await driver.http.post(f"/threads/{thread}/runs/{how}", json=body)
        assert response.status_code == 200
    assert await driver.statuses(thread) == ["success", "success"]


async def test_streams_of_clients_that_left_are_forgotten(driver: Driver, gate: Gate, live_server: LiveServer) -> None:
    bus = live_server.app.state.server.bus
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    before = bus.subscribers
    async with driver.http.stream("GET", f"/threads/{thread}/runs/{run['run_id']}/stream"):

        async def listening() -> bool:
            return bool(bus.subscribers == before + 1)

        await eventually(listening, "a subscription")

    async def left() -> bool:
        return bool(bus.subscribers == before)

    await eventually(left, "the end of the subscription")
