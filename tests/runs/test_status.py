"""How runs and threads end, row by row (spec 6.2), and what errors may say (spec 6.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IMPATIENT, connected, served
from tests.driver import Driver
from tests.gate import Gate

ROWS: list[tuple[str, str, Any, dict[str, Any], str, str]] = [
    ("finished", "echo", {"x": "a"}, {}, "success", "idle"),
    ("stopped on interrupt()", "hitl", {"x": "a"}, {}, "success", "interrupted"),
    ("two interrupts at once", "two_questions", {}, {}, "success", "interrupted"),
    ("an interrupt in a subgraph", "nested_hitl", {"x": "a"}, {}, "success", "interrupted"),
    ("an interrupt two graphs deep", "deep_question", {}, {}, "success", "interrupted"),
    ("interrupt_before", "gated", {}, {"interrupt_before": ["gate"]}, "success", "interrupted"),
    ("interrupt_after", "gated", {}, {"interrupt_after": ["first"]}, "success", "interrupted"),
    ("interrupt_before everything", "echo", {"x": "a"}, {"interrupt_before": "*"}, "success", "interrupted"),
    ("interrupt_after the last node", "echo", {"x": "a"}, {"interrupt_after": "*"}, "success", "idle"),
    ("a compiled breakpoint", "breakpoint", {"x": 1}, {}, "success", "interrupted"),
    ("a compiled breakpoint after", "breakpoint_after", {"x": 1}, {}, "success", "interrupted"),
    ("a compiled breakpoint in a subgraph", "nested_breakpoint", {"x": 1}, {}, "success", "interrupted"),
    ("an exception", "raiser", {"x": "value"}, {}, "error", "error"),
    ("the recursion limit", "endless", {"x": 1}, {"config": {"recursion_limit": 3}}, "error", "error"),
    ("no input", "echo", None, {}, "error", "error"),
]


@pytest.mark.parametrize("durability", ["async", "exit"])
@pytest.mark.parametrize(
    ("graph", "given", "fields", "run", "thread"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)
async def test_status(
    driver: Driver, graph: str, given: Any, fields: dict[str, Any], run: str, thread: str, durability: str
) -> None:
    thread_id = await driver.thread()
    result = await driver.wait(thread_id, graph, given, durability=durability, **fields)
    assert (await driver.settled(thread_id))["status"] == thread
    assert await driver.statuses(thread_id) == [run]
    assert ("__error__" in result) == (run == "error")


async def test_the_thread_shows_what_the_last_checkpoint_shows(driver: Driver) -> None:
    thread_id = await driver.thread()
    await driver.wait(thread_id, "two_questions", {"x": "a"})
    thread, state = await driver.show(thread_id), await driver.state(thread_id)
    assert thread["values"] == state["values"]
    assert sorted(each["value"] for task in thread["interrupts"].values() for each in task) == ["left", "right"]
    assert {task["id"] for task in state["tasks"]} == set(thread["interrupts"])
    assert state["next"] == ["ask_which", "ask_which"]


async def test_answered_interrupts_disappear_from_the_thread(driver: Driver) -> None:
    thread_id = await driver.thread()
    await driver.wait(thread_id, "hitl", {"x": "a"})
    assert (await driver.show(thread_id))["interrupts"] != {}
    await driver.wait(thread_id, "hitl", command={"resume": "yes"})
    thread = await driver.show(thread_id)
    assert (thread["status"], thread["interrupts"]) == ("idle", {})


async def test_an_error_is_kept_until_the_next_success(driver: Driver) -> None:
    thread_id = await driver.thread()
    await driver.wait(thread_id, "raiser", {"x": "value"})
    assert (await driver.show(thread_id))["error"] == {"error": "ValueError", "message": "bad value"}
    await driver.wait(thread_id, "echo", {"x": "a"})
    thread = await driver.show(thread_id)
    assert (thread["status"], thread["error"]) == ("idle", None)


async def test_a_failed_run_leaves_the_state_of_its_last_checkpoint(driver: Driver) -> None:
    thread_id = await driver.thread()
    await driver.wait(thread_id, "failing", {"x": "a"})
    thread = await driver.show(thread_id)
    assert thread["status"] == "error"
    assert thread["values"] == {"x": "a!", "n": 1, "log": []}


async def test_a_run_without_a_checkpoint_keeps_values_and_interrupts(driver: Driver) -> None:
    thread_id = await driver.thread()
    await driver.wait(thread_id, "hitl", {"x": "a"})
    before = await driver.show(thread_id)
    result = await driver.wait(thread_id, "hitl", {"x": "b"}, config={"recursion_limit": 0})
    assert "__error__" in result
    after = await driver.show(thread_id)
    assert after["status"] == "error"
    assert (after["values"], after["interrupts"]) == (before["values"], before["interrupts"])


async def test_the_thread_stays_busy_while_another_run_waits(driver: Driver, gate: Gate) -> None:
    thread_id = await driver.thread()
    first = await driver.start(thread_id, "raiser", {"x": "value"})
    await driver.start(thread_id, "gated", gate.state)
    await driver.reaches(thread_id, first["run_id"], "error")
    thread = await driver.show(thread_id)
    assert thread["status"] == "busy"
    gate.open()
    assert (await driver.settled(thread_id))["status"] == "idle"


SHOWN = [
    ("value", "ValueError", "bad value"),
    ("derived", "Derived", "bad derived value"),
    ("key", "KeyError", "'missing'"),
    ("type", "TypeError", "bad type"),
    ("attribute", "AttributeError", "no attribute"),
    ("runtime", "RuntimeError", "bad luck"),
    ("timeout", "TimeoutError", "the node's own time-out"),
    ("cancelled", "NodeCancelledError", "Node 'raise' raised asyncio.CancelledError"),
]


@pytest.mark.parametrize(("which", "name", "message"), SHOWN)
async def test_a_well_known_error_is_shown(driver: Driver, which: str, name: str, message: str) -> None:
    thread_id = await driver.thread()
    shown = {"error": name, "message": message}
    assert await driver.wait(thread_id, "raiser", {"x": which}) == {"__error__": shown}
    assert (await driver.settled(thread_id))["error"] == shown
    events = await driver.stream(None, "raiser", {"x": which})
    assert (events[-1].name, events[-1].data) == ("error", shown)


@pytest.mark.parametrize(("which", "name"), [("connection", "ConnectionError"), ("secretive", "Secretive")])
async def test_any_other_error_tells_nothing_but_its_class(driver: Driver, which: str, name: str) -> None:
    thread_id = await driver.thread()
    path = f"/threads/{thread_id}/runs/wait"
    waited = await driver.http.post(path, json={"assistant_id": "raiser", "input": {"x": which}})
    assert waited.json()["__error__"]["error"] == name
    streamed = await driver.http.post(
        "/runs/stream",
        json={"assistant_id": "raiser", "input": {"x": which}, "stream_mode": ["values", "updates"]},
    )
    thread = await driver.show(thread_id)
    for told in (waited.text, str(thread), streamed.text):
        assert "password" not in told


async def test_known_errors_of_langgraph_are_shown(driver: Driver) -> None:
    limit = await driver.wait(None, "endless", {"x": 1}, config={"recursion_limit": 3})
    assert limit["__error__"]["error"] == "GraphRecursionError"
    assert "3" in limit["__error__"]["message"]
    empty = await driver.wait(await driver.thread(), "echo")
    assert empty["__error__"]["error"] == "EmptyInputError"


@pytest.mark.parametrize("graph", ["gated", "deaf", "loop_blocker", "sync_blocker"])
async def test_a_run_that_takes_too_long_times_out(tmp_path: Path, gate: Gate, graph: str) -> None:
    """Even if its node cannot be stopped."""
    async with served(tmp_path, timing=IMPATIENT, job_timeout_s=1) as app, connected(app) as client:
        driver = Driver(client)
        thread_id = await driver.thread()
        events = await driver.stream(thread_id, graph, gate.state, durability="sync")
        assert "error" not in {event.name for event in events}, "the stream just ends"
        thread = await driver.settled(thread_id)
        assert await driver.statuses(thread_id) == ["timeout"]
        assert thread["status"] == "error"
        assert thread["error"] == {"error": "JobTimeout", "message": "The run took longer than 1 s."}
        assert thread["values"]["log"] == ["first"], "what was done stays"
        if graph != "gated":
            gate.open()
            await gate.reached("left")


async def test_a_run_that_finishes_in_spite_of_its_time_out_has_succeeded(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, job_timeout_s=0.2) as app, connected(app) as client:
        driver = Driver(client)
        thread_id = await driver.thread()
        assert (await driver.wait(thread_id, "swallower", gate.state))["log"] == ["first", "swallowed", "last"]
        assert await driver.statuses(thread_id) == ["success"]


async def test_a_time_out_of_the_node_is_an_error_not_a_time_out(driver: Driver) -> None:
    thread_id = await driver.thread()
    await driver.wait(thread_id, "raiser", {"x": "timeout"})
    assert await driver.statuses(thread_id) == ["error"]
