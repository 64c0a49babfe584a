"""Interrupts, and answers to them."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.driver import Driver
from tests.protocol.client import Client, Envelope, at, kinds, of, taken


def requested(events: list[Envelope]) -> dict[str, Any]:
    """What was asked, by the interrupt's id."""
    return {each["interrupt_id"]: each["payload"] for each in of(events, "input.requested")}


async def test_an_interrupt_is_asked_and_answered(client: Client) -> None:
    async with client.events() as events:
        await client.run("hitl", {"x": "a"})
        asked = await taken(events)
        [(interrupt_id, payload)] = requested(asked).items()
        assert payload == {"question": "ok?"}
        assert kinds(asked) == ["running", "interrupted"]
        assert "__interrupt__" not in of(asked, "values")[-1]
        assert await client.done("input.respond", interrupt_id=interrupt_id, response="yes", namespace=[]) == {}
        answered = await taken(events)
    assert kinds(answered) == ["running", "completed"]
    assert of(answered, "values")[-1]["x"] == "yes!"


async def test_several_interrupts_are_answered_with_one_command(client: Client, driver: Driver) -> None:
    async with client.events() as events:
        await client.run("two_questions", {"x": "a"})
        asked = requested(await taken(events))
        assert sorted(asked.values()) == ["left", "right"]
        answers = [{"interrupt_id": key, "response": value.upper(), "namespace": []} for key, value in asked.items()]
        await client.done("input.respond", responses=answers)
        answered = await taken(events)
    assert kinds(answered) == ["running", "completed"]
    assert sorted(of(answered, "values")[-1]["log"]) == ["left=LEFT", "right=RIGHT"]
    assert len(await driver.runs(client.thread_id)) == 2


async def test_one_of_several_can_be_answered_alone(client: Client) -> None:
    async with client.events() as events:
        await client.run("two_questions", {"x": "a"})
        first, second = requested(await taken(events))
        await client.done("input.respond", interrupt_id=first, response=1)
        again = await taken(events)
        assert kinds(again) == ["running", "interrupted"]
        assert set(requested(again)) == {second}
        await client.done("input.respond", interrupt_id=second, response=2)
        assert kinds(await taken(events)) == ["running", "completed"]


async def test_an_interrupt_below_names_its_namespace(client: Client) -> None:
    async with client.events() as events:
        await client.run("deep_question", {"x": "a"})
        asked = await taken(events)
        [request] = [each for each in asked if each["method"] == "input.requested"]
        assert [segment.partition(":")[0] for segment in at(request)] == ["sub", "subsub"]
        ends = [d["event"] for e in asked if at(e) and "trigger_call_id" in (d := e["params"]["data"])]
        assert ends == ["started", "started", "interrupted", "interrupted"]
        answer = {"interrupt_id": request["params"]["data"]["interrupt_id"], "namespace": [*at(request)]}
        await client.done("input.respond", response="Ann", **answer)
        assert of(await taken(events), "values", [])[-1]["log"][-2:] == ["told Ann", "after"]


async def test_input_on_a_waiting_thread_is_the_answer(client: Client) -> None:
    async with client.events() as events:
        await client.run("hitl", {"x": "a"})
        await taken(events)
        await client.run("hitl", "yes")
        assert of(await taken(events), "values")[-1]["x"] == "yes!"


async def test_an_answer_can_update_the_state_and_say_where_to_go(client: Client) -> None:
    async with client.events() as events:
        await client.run("places", {"x": "a"})
        [interrupt_id] = requested(await taken(events))
        await client.done("input.respond", interrupt_id=interrupt_id, response="r", update={"x": "new"}, goto="b")
        values = of(await taken(events), "values")[-1]
    assert values["x"] == "new"
    assert sorted(values["log"]) == ["answered r", "b"]


async def test_an_answer_waits_for_the_run_that_asks(client: Client) -> None:
    """The question is told before the run is settled."""
    async with client.events(["input", "lifecycle"]) as events:
        await client.run("hitl", {"x": "a"})
        [interrupt_id] = requested(await taken(events, lambda event: event["method"] == "input.requested"))
        await client.done("input.respond", interrupt_id=interrupt_id, response="yes")
        assert kinds(await taken(events)) == ["interrupted"]
        assert kinds(await taken(events)) == ["running", "completed"]


async def test_only_one_of_two_answers_counts(client: Client, driver: Driver) -> None:
    async with client.events() as events:
        await client.run("hitl", {"x": "a"})
        [interrupt_id] = requested(await taken(events))
        answers = await asyncio.gather(
            *(
                Client(client.http, client.thread_id).command("input.respond", interrupt_id=interrupt_id, response=text)
                for text in ("yes", "no")
            )
        )
        assert kinds(await taken(events)) == ["running", "completed"]
    assert sorted(answer.get("error", "success") for answer in answers) == ["no_such_interrupt", "success"]
    assert len(await driver.runs(client.thread_id)) == 2


async def test_unknown_interrupts(client: Client) -> None:
    answer = await client.command("input.respond", interrupt_id="none", response=1)
    assert (answer["type"], answer["error"]) == ("error", "no_such_interrupt")
    await client.run("echo", {"x": "a"})
    await client.until()
    answer = await client.command("input.respond", responses=[{"interrupt_id": "none", "response": 1}])
    assert answer["error"] == "no_such_interrupt"


async def test_a_breakpoint_ends_interrupted_without_a_question(client: Client) -> None:
    await client.run("breakpoint", {"x": "a"})
    events = await client.until()
    assert kinds(events) == ["running", "interrupted"]
    assert requested(events) == {}
