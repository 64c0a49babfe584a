"""Input, commands, breakpoints and forks (spec 6.6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Driver
from tests.gate import Gate


@pytest.mark.parametrize(
    "answer",
    ["yes", 3, True, [1, 2], {"a": {"b": None}}, ""],
    ids=["text", "number", "flag", "list", "object", "empty"],
)
async def test_an_interrupt_is_answered_with_any_json(driver: Driver, answer: Any) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "places", {"x": 1})
    result = await driver.wait(thread, "places", command={"resume": answer})
    assert result["log"] == [f"answered {answer}"]
    assert (await driver.show(thread))["status"] == "idle"


async def test_interrupts_in_parallel_are_answered_by_id(driver: Driver) -> None:
    thread = await driver.thread()
    asked = await driver.wait(thread, "two_questions", {"x": "a"})
    answers = {each["id"]: f"{each['value']} answer" for each in asked["__interrupt__"]}
    result = await driver.wait(thread, "two_questions", command={"resume": answers})
    assert sorted(result["log"]) == ["left=left answer", "right=right answer"]
    assert (await driver.show(thread))["status"] == "idle"


async def test_interrupts_in_parallel_are_answered_one_by_one(driver: Driver) -> None:
    thread = await driver.thread()
    asked = await driver.wait(thread, "two_questions", {"x": "a"})
    first, second = asked["__interrupt__"]
    await driver.wait(thread, "two_questions", command={"resume": {first["id"]: "1"}})
    shown = await driver.show(thread)
    assert shown["status"] == "interrupted"
    assert [each["id"] for task in shown["interrupts"].values() for each in task] == [second["id"]]
    result = await driver.wait(thread, "two_questions", command={"resume": {second["id"]: "2"}})
    assert sorted(result["log"]) == sorted([f"{first['value']}=1", f"{second['value']}=2"])


async def test_an_interrupt_deep_in_subgraphs_is_answered(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "deep_question", {"x": 1})
    result = await driver.wait(thread, "deep_question", command={"resume": "me"})
    assert result["log"] == ["one", "told me", "after"]


GOTO: list[tuple[Any, list[str]]] = [
    ("a", ["a"]),
    (["a"], ["a"]),
    (["a", "b"], ["a", "b"]),
    ({"node": "echo", "input": {"x": 1}}, ["echo 1"]),
    ([{"node": "echo", "input": {"x": 1}}, {"node": "echo", "input": {"x": 2}}], ["echo 1", "echo 2"]),
]


@pytest.mark.parametrize(("goto", "log"), GOTO)
async def test_goto(driver: Driver, goto: Any, log: list[str]) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "places", {"x": 1})
    await driver.wait(thread, "places", command={"resume": "-"})
    result = await driver.wait(thread, "places", command={"goto": goto})
    assert sorted(result["log"]) == sorted(["answered -", *log])


UPDATES: list[Any] = [{"x": "new", "log": ["updated"]}, [["x", "new"], ["log", ["updated"]]]]


@pytest.mark.parametrize("update", UPDATES, ids=["an object", "pairs"])
async def test_update(driver: Driver, update: Any) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "places", {"x": 1})
    await driver.wait(thread, "places", command={"resume": "-"})
    result = await driver.wait(thread, "places", command={"update": update, "goto": "a"})
    assert result == {"x": "new", "log": ["answered -", "updated", "a"]}


async def test_update_and_resume_together(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "places", {"x": 1})
    result = await driver.wait(thread, "places", command={"resume": "yes", "update": {"x": 2}})
    assert result == {"x": 2, "log": ["answered yes"]}


async def test_a_command_wins_over_input(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "hitl", {"x": "a"})
    assert (await driver.wait(thread, "hitl", {"x": "ignored"}, command={"resume": "yes"}))["x"] == "yes!"


@pytest.mark.parametrize("command", [{}, {"resume": None}, {"update": None, "goto": None}])
async def test_a_command_that_says_nothing_is_none(driver: Driver, command: dict[str, Any]) -> None:
    thread = await driver.thread()
    empty = await driver.wait(thread, "places", command=command)
    assert empty["__error__"]["error"] == "EmptyInputError"
    await driver.wait(thread, "places", {"x": 1})
    again = await driver.wait(thread, "places", command=command)
    assert len(again["__interrupt__"]) == 1, "it goes on from the checkpoint, and asks once more"
    assert (await driver.wait(thread, "places", {"x": 3}, command=command))["x"] == 3


async def test_a_command_on_a_fresh_thread(driver: Driver) -> None:
    updated = await driver.wait(await driver.thread(), "places", command={"update": {"x": 3}})
    assert updated["x"] == 3
    resumed = await driver.wait(await driver.thread(), "places", command={"resume": "early"})
    assert len(resumed["__interrupt__"]) == 1, "there was no question yet"


# --- going on


STOPS: list[dict[str, Any]] = [
    {"interrupt_before": ["gate"]},
    {"interrupt_after": ["first"]},
]


@pytest.mark.parametrize("stop", STOPS, ids=["before", "after"])
async def test_null_input_goes_on_after_a_breakpoint(driver: Driver, gate: Gate, stop: dict[str, Any]) -> None:
    gate.open()
    thread = await driver.thread()
    await driver.wait(thread, "gated", gate.state, **stop)
    assert (await driver.state(thread))["next"] == ["gate"]
    assert (await driver.wait(thread, "gated"))["log"] == ["first", "gate", "last"]
    assert (await driver.show(thread))["status"] == "idle"


async def test_breakpoints_everywhere_single_step_a_graph(driver: Driver, gate: Gate) -> None:
    gate.open()
    thread = await driver.thread()
    steps = [await driver.wait(thread, "gated", gate.state, interrupt_before="*")]
    steps += [await driver.wait(thread, "gated", interrupt_before="*") for _ in range(3)]
    assert [step["log"] for step in steps] == [[], ["first"], ["first", "gate"], ["first", "gate", "last"]]
    assert (await driver.show(thread))["status"] == "idle"


@pytest.mark.parametrize("graph", ["breakpoint", "breakpoint_after", "nested_breakpoint"])
async def test_null_input_goes_on_after_a_compiled_breakpoint(driver: Driver, graph: str) -> None:
    thread = await driver.thread()
    await driver.wait(thread, graph, {"x": 1})
    await driver.wait(thread, graph)
    assert (await driver.show(thread))["status"] == "idle"


async def test_null_input_goes_on_after_a_state_edit(driver: Driver, gate: Gate) -> None:
    gate.open()
    thread = await driver.thread()
    await driver.wait(thread, "gated", gate.state, interrupt_before=["gate"])
    edit = await driver.http.post(f"/threads/{thread}/state", json={"values": {"log": ["edited"]}})
    assert edit.status_code == 200
    assert (await driver.wait(thread, "gated"))["log"] == ["first", "edited", "gate", "last"]


async def test_null_input_on_a_finished_thread_changes_nothing(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "a"})
    assert await driver.wait(thread, "echo") == {"x": "a!", "n": 1, "log": []}
    assert (await driver.show(thread))["status"] == "idle"


async def test_null_input_goes_on_after_an_error(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "raiser", {"x": "value"})
    await driver.http.post(f"/threads/{thread}/state", json={"values": {"x": "key"}, "as_node": "first"})
    assert (await driver.wait(thread, "raiser"))["__error__"]["error"] == "KeyError"


# --- forks


def by_id(checkpoint: str) -> dict[str, Any]:
    return {"checkpoint_id": checkpoint}


def by_checkpoint(checkpoint: str) -> dict[str, Any]:
    return {"checkpoint": {"checkpoint_id": checkpoint, "checkpoint_ns": ""}}


def by_config(checkpoint: str) -> dict[str, Any]:
    return {"config": {"configurable": {"checkpoint_id": checkpoint}}}


@pytest.mark.parametrize("form", [by_id, by_checkpoint, by_config])
async def test_a_fork_repeats_from_an_earlier_checkpoint(driver: Driver, gate: Gate, form: Any) -> None:
    gate.open()
    thread = await driver.thread()
    await driver.wait(thread, "gated", gate.state)
    before_gate = next(state for state in await driver.history(thread) if state["next"] == ["gate"])
    length = len(await driver.history(thread))
    result = await driver.wait(thread, "gated", None, **form(before_gate["checkpoint"]["checkpoint_id"]))
    assert result["log"] == ["first", "gate", "last"]
    assert len(await driver.history(thread)) > length
    (fork,) = (await driver.runs(thread))[1:]
    assert fork["kwargs"]["config"]["configurable"]["checkpoint_id"] == before_gate["checkpoint"]["checkpoint_id"]


async def test_a_fork_with_an_upper_case_id(driver: Driver, gate: Gate) -> None:
    gate.open()
    thread = await driver.thread()
    await driver.wait(thread, "gated", gate.state)
    before_gate = next(state for state in await driver.history(thread) if state["next"] == ["gate"])
    checkpoint = before_gate["checkpoint"]["checkpoint_id"].upper()
    assert (await driver.wait(thread, "gated", None, checkpoint_id=checkpoint))["log"] == ["first", "gate", "last"]


async def test_a_fork_asks_again(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "hitl", {"x": "a"})
    question = (await driver.state(thread))["checkpoint"]["checkpoint_id"]
    assert (await driver.wait(thread, "hitl", command={"resume": "first"}))["x"] == "first!"
    again = await driver.wait(thread, "hitl", None, checkpoint_id=question)
    assert len(again["__interrupt__"]) == 1
    assert (await driver.wait(thread, "hitl", command={"resume": "second"}))["x"] == "second!"


async def test_a_fork_with_new_input_starts_over_from_there(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "first"})
    first = (await driver.state(thread))["checkpoint"]["checkpoint_id"]
    await driver.wait(thread, "echo", {"x": "second"})
    assert await driver.wait(thread, "echo", {"x": "other"}, checkpoint_id=first) == {"x": "other!", "n": 2, "log": []}
