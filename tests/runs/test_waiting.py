"""Waiting for and joining runs: what the body is, and what keeps it alive (spec 6.4)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.driver import Driver
from tests.gate import Gate

QUESTION = {"value": {"question": "ok?"}, "response_schema": None}
NOT_FOUND = {"__error__": {"error": "HTTPException", "message": "404: Run not found"}}


def without_ids(interrupts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert all(isinstance(each["id"], str) for each in interrupts)
    return [{k: v for k, v in each.items() if k != "id"} for each in interrupts]


async def test_the_last_values(driver: Driver) -> None:
    assert await driver.wait(None, "echo", {"x": "a"}) == {"x": "a!", "n": 1, "log": []}


@pytest.mark.parametrize("mode", ["updates", "messages", "custom", "debug", "events", ["updates", "values"]])
async def test_the_stream_mode_does_not_matter(driver: Driver, mode: Any) -> None:
    assert await driver.wait(None, "echo", {"x": "a"}, stream_mode=mode) == {"x": "a!", "n": 1, "log": []}


async def test_an_error_replaces_the_values(driver: Driver) -> None:
    assert await driver.wait(None, "failing", {"x": "a"}) == {
        "__error__": {"error": "ValueError", "message": "the node failed"}
    }


async def test_one_interrupt_comes_with_the_state(driver: Driver) -> None:
    result = await driver.wait(await driver.thread(), "hitl", {"x": "a"})
    assert without_ids(result.pop("__interrupt__")) == [QUESTION]
    assert result == {"x": "a", "log": []}


async def test_parallel_interrupts_come_alone(driver: Driver) -> None:
    result = await driver.wait(await driver.thread(), "two_questions", {"x": "a"})
    assert list(result) == ["__interrupt__"]
    assert sorted(each["value"] for each in result["__interrupt__"]) == ["left", "right"]


async def test_an_interrupt_in_a_subgraph_comes_with_the_state(driver: Driver) -> None:
    result = await driver.wait(await driver.thread(), "nested_hitl", {"x": "a"}, stream_subgraphs=True)
    assert without_ids(result["__interrupt__"]) == [QUESTION]


@pytest.mark.parametrize("fields", [{"interrupt_before": ["gate"]}, {"interrupt_after": ["first"]}])
async def test_a_breakpoint_leaves_no_mark(driver: Driver, gate: Gate, fields: dict[str, Any]) -> None:
    result = await driver.wait(await driver.thread(), "gated", gate.state, **fields)
    assert result == {**gate.state, "log": ["first"]}


async def test_messages_are_plain_objects(driver: Driver) -> None:
    result = await driver.wait(None, "chat", {"messages": [{"role": "user", "content": "2"}]})
    assert [(message["type"], message["content"]) for message in result["messages"]] == [
        ("human", "2"),
        ("ai", "w0 w1"),
    ]


async def test_newlines_keep_the_connection_alive(driver: Driver, gate: Gate) -> None:
    body = {"assistant_id": "gated", "input": gate.state}
    async with driver.http.stream("POST", "/runs/wait", json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            if received == b"\n\n":
                gate.open()
    assert received.startswith(b"\n\n{")
    assert received.lstrip(b"\n") == response_json(received)
    assert json.loads(received)["log"] == ["first", "gate", "last"]


def response_json(body: bytes) -> bytes:
    """What follows the keep-alive newlines."""
    return body[body.index(b"{") :]


async def test_a_quick_result_has_no_newline(driver: Driver) -> None:
    response = await driver.http.post("/runs/wait", json={"assistant_id": "echo", "input": {"x": "a"}})
    assert response.content.startswith(b"{")


async def test_an_interrupt_survives_the_keep_alive(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    body = {"assistant_id": "gated", "input": gate.state, "interrupt_after": ["gate"]}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/wait", json=body) as response:
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            gate.open()
    assert json.loads(received)["log"] == ["first", "gate"]


# --- join


async def test_joining_a_running_run_gives_its_result(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    path = f"/threads/{thread}/runs/{run['run_id']}"
    async with driver.http.stream("GET", f"{path}/join") as response:
        assert response.headers["content-location"] == path
        assert response.headers["location"] == f"{path}/join"
        gate.open()
        assert json.loads(await response.aread())["log"] == ["first", "gate", "last"]


async def test_many_may_join(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    joins = [asyncio.create_task(driver.join(thread, run["run_id"])) for _ in range(10)]
    await gate.reached()
    gate.open()
    results = await asyncio.gather(*joins)
    assert all(result["log"] == ["first", "gate", "last"] for result in results)


async def test_joining_a_queued_run_waits_for_its_turn(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    second = await driver.start(thread, "echo", {"x": "second"})
    async with driver.http.stream("GET", f"/threads/{thread}/runs/{second['run_id']}/join") as response:
        gate.open()
        assert json.loads(await response.aread())["x"] == "second!"


async def test_joining_an_old_run_shows_the_thread_as_it_is_now(driver: Driver) -> None:
    thread = await driver.thread()
    first = await driver.start(thread, "echo", {"x": "first"})
    await driver.settled(thread)
    await driver.wait(thread, "echo", {"x": "second"})
    assert (await driver.join(thread, first["run_id"]))["x"] == "second!"


async def test_joining_a_failed_run_shows_the_error(driver: Driver) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "raiser", {"x": "value"})
    await driver.settled(thread)
    assert await driver.join(thread, run["run_id"]) == {"__error__": {"error": "ValueError", "message": "bad value"}}


async def test_joining_an_interrupted_thread_shows_the_interrupts_alone(driver: Driver) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "hitl", {"x": "a"})
    await driver.settled(thread)
    result = await driver.join(thread, run["run_id"])
    assert list(result) == ["__interrupt__"]
    assert [set(each) for each in result["__interrupt__"]] == [{"id", "value"}]


async def test_joining_a_breakpoint_shows_the_values(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state, interrupt_before=["gate"])
    await driver.settled(thread)
    assert (await driver.join(thread, run["run_id"]))["log"] == ["first"]


async def test_joining_what_is_not_there(driver: Driver) -> None:
    mine, other = await driver.thread(), await driver.thread()
    run = (await driver.start(mine, "echo", {"x": "a"}))["run_id"]
    await driver.settled(mine)
    assert await driver.join(mine, driver.new_id()) == NOT_FOUND
    assert await driver.join(driver.new_id(), run) == NOT_FOUND
    assert await driver.join(other, run) == NOT_FOUND
    for path in (f"/threads/x/runs/{run}/join", f"/threads/{mine}/runs/x/join"):
        assert (await driver.http.get(path)).status_code == 422


async def test_joining_a_run_whose_thread_is_deleted_meanwhile_ends(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    async with driver.http.stream("GET", f"/threads/{thread}/runs/{run['run_id']}/join") as response:
        assert (await driver.http.delete(f"/threads/{thread}")).status_code == 204
        json.loads(await response.aread())


async def test_a_run_that_never_started_gives_nothing(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    second = await driver.start(thread, "echo", {"x": "second"})
    async with driver.http.stream("GET", f"/threads/{thread}/runs/{second['run_id']}/join") as response:
        assert (await driver.cancel(thread, second["run_id"])).status_code == 202
        assert json.loads(await response.aread()) == {}
