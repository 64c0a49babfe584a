"""Interrupts and their answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agui.front_end import FrontEnd, of, types
from tests.driver import Driver


def answer(interrupt: Any, payload: Any = None, status: str = "resolved") -> dict[str, Any]:
    return {"interrupt_id": interrupt.id, "status": status, "payload": payload}


async def paused(front: FrontEnd) -> list[Any]:
    """The interrupts of a new conversation."""
    events = await front.says("call delete")
    assert events[-1].outcome.type == "interrupt"
    found: list[Any] = events[-1].outcome.interrupts
    return found


async def test_an_interrupt_and_its_answer(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    events = await front.says("call delete")
    [interrupt] = events[-1].outcome.interrupts
    [call] = of(events, "TOOL_CALL_START")
    assert (interrupt.reason, interrupt.message) == ("langgraph:interrupt", "Really?")
    assert interrupt.tool_call_id == call.tool_call_id
    raw = {"question": "Really?", "tool_call_id": call.tool_call_id}
    assert interrupt.metadata == {"langgraph": {"raw": raw}}
    assert [(event.name, event.value) for event in of(events, "CUSTOM")][-1] == ("on_interrupt", raw)

    events = await front.runs(resume=[answer(interrupt, "yes")])
    assert types(events)[-1] == "RUN_FINISHED"
    assert events[-1].outcome.type == "success"
    assert front.shown[-1] == ("assistant", "The tool said: told yes")


@pytest.mark.parametrize(
    ("sent", "told"), [("yes", "yes"), ('{"a": 1}', "{'a': 1}"), ({"a": 1}, "{'a': 1}"), (False, "False")]
)
async def test_the_answer_of_copilotkit(driver: Driver, sent: Any, told: str) -> None:
    front = FrontEnd(driver.http)
    await paused(front)
    await front.runs(forwarded_props={"command": {"resume": sent}})
    assert front.shown[-1] == ("assistant", f"The tool said: told {told}")


async def test_clients_that_take_an_outcome_amiss(driver: Driver) -> None:
    events = await FrontEnd(driver.http).says("call delete", forwarded_props={"interruptOutcome": False})
    assert events[-1].outcome is None
    assert of(events, "CUSTOM")[-1].name == "on_interrupt"


async def test_it_is_asked_again_until_there_is_an_answer(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    [interrupt] = await paused(front)
    reloaded = FrontEnd(driver.http, thread_id=front.thread_id)
    events = await reloaded.says("what now?")
    assert events[-1].outcome.interrupts == [interrupt]
    assert reloaded.shown[0] == ("user", "call delete")
    assert len(await driver.runs(front.thread_id)) == 1
    dismissed = await front.runs(resume=[answer(interrupt, status="cancelled")])
    assert dismissed[-1].outcome.type == "success"
    assert "'__agui_cancelled__': True" in str(front.shown[-1][1])


async def test_several_at_once(driver: Driver) -> None:
    front = FrontEnd(driver.http, "two_questions")
    front.state = {"x": ""}
    events = await front.runs()
    interrupts = events[-1].outcome.interrupts
    assert sorted(interrupt.message for interrupt in interrupts) == ["left", "right"]
    one, other = interrupts
    events = await front.runs(resume=[answer(one, 1)])
    assert events[-1].outcome.interrupts == [other]
    events = await front.runs(resume=[answer(other, 2)])
    assert events[-1].outcome.type == "success"
    assert sorted(front.state["log"]) == sorted([f"{one.message}=1", f"{other.message}=2"])


async def test_a_graph_without_messages(driver: Driver) -> None:
    """What people say to the front end is not said to it."""
    front = FrontEnd(driver.http, "hitl")
    [interrupt] = (await front.says("hello", state={"x": "a"}))[-1].outcome.interrupts
    events = await front.says("fine", resume=[answer(interrupt, "b")])
    assert events[-1].outcome.type == "success"
    assert front.state == {"x": "b!", "n": 1, "log": ["asked"]}


async def test_breakpoints(driver: Driver) -> None:
    front = FrontEnd(driver.http, "breakpoint")
    front.state = {"x": 1}
    events = await front.runs()
    [interrupt] = events[-1].outcome.interrupts
    assert (interrupt.id, interrupt.reason) == ("breakpoint", "breakpoint")
    assert front.state["log"] == ["first"]
    events = await front.runs(resume=[answer(interrupt)])
    assert events[-1].outcome.type == "success"
    assert front.state["log"] == ["first", "second"]
