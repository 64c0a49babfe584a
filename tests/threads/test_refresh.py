"""After a finished run was deleted its thread shows what is left (spec 7.1): values, interrupts, status, error."""

from __future__ import annotations

from starlette.applications import Starlette

from tests.driver import Driver
from tests.gate import Gate
from waystation.threads.refresh import refresh_state

SHOWN = ("values", "status", "interrupts", "error")


async def delete(app: Starlette, driver: Driver, thread: str, run_id: str) -> None:
    answer = await driver.http.delete(f"/threads/{thread}/runs/{run_id}")
    assert answer.status_code == 204
    await refresh_state(app.state.server, thread)


async def finished(driver: Driver, thread: str, graph: str, given: object, **fields: object) -> str:
    run_id: str = (await driver.start(thread, graph, given, **fields))["run_id"]
    await driver.settled(thread)
    return run_id


async def shown(driver: Driver, thread: str) -> dict[str, object]:
    found = await driver.show(thread)
    for interrupt in (each for of_task in found["interrupts"].values() for each in of_task):
        interrupt.pop("response_schema", None)  # null or absent
    return {name: found[name] for name in SHOWN}


async def test_the_last_run_goes_and_the_state_before_it_shows(app: Starlette, driver: Driver) -> None:
    thread = await driver.thread()
    first = await finished(driver, thread, "echo", {"x": "a"})
    before = await shown(driver, thread)
    second = await finished(driver, thread, "echo", {"x": "b"})
    assert await shown(driver, thread) != before
    await delete(app, driver, thread, second)
    assert await shown(driver, thread) == before
    assert (await driver.state(thread))["values"] == before["values"]
    await delete(app, driver, thread, first)
    assert await shown(driver, thread) == {"values": None, "status": "idle", "interrupts": {}, "error": None}


async def test_an_answer_goes_and_the_question_is_open_again(app: Starlette, driver: Driver) -> None:
    thread = await driver.thread()
    await finished(driver, thread, "hitl", {})
    before = await shown(driver, thread)
    assert before["status"] == "interrupted"
    answer = await finished(driver, thread, "hitl", None, command={"resume": "yes"})
    assert (await shown(driver, thread))["status"] == "idle"
    await delete(app, driver, thread, answer)
    assert await shown(driver, thread) == before


async def test_a_failed_run_takes_its_error_with_it(app: Starlette, driver: Driver) -> None:
    thread = await driver.thread()
    await finished(driver, thread, "echo", {"x": "a"})
    before = await shown(driver, thread)
    failed = await finished(driver, thread, "failing", {})
    assert (await shown(driver, thread))["status"] == "error"
    await delete(app, driver, thread, failed)
    assert await shown(driver, thread) == before


async def test_the_failure_of_the_run_before_shows_again(app: Starlette, driver: Driver) -> None:
    thread = await driver.thread()
    await finished(driver, thread, "failing", {})
    last = await finished(driver, thread, "echo", {"x": "a"})
    assert (await shown(driver, thread))["status"] == "idle"
    await delete(app, driver, thread, last)
    assert (await shown(driver, thread))["status"] == "error"


async def test_an_older_run_changes_nothing(app: Starlette, driver: Driver) -> None:
    thread = await driver.thread()
    old = await finished(driver, thread, "echo", {"x": "a"})
    await finished(driver, thread, "failing", {})
    before = await driver.show(thread)
    await delete(app, driver, thread, old)
    assert await driver.show(thread) == before


async def test_an_edit_after_a_failure_stays(app: Starlette, driver: Driver) -> None:
    thread = await driver.thread()
    old = await finished(driver, thread, "echo", {"x": "a"})
    await finished(driver, thread, "failing", {})
    edit = await driver.http.post(f"/threads/{thread}/state", json={"values": {"x": "edited"}})
    assert edit.status_code == 200, edit.text
    before = await shown(driver, thread)
    assert before["status"] != "error"
    await delete(app, driver, thread, old)
    after = await shown(driver, thread)
    assert (after["values"], after["status"]) == (before["values"], before["status"])


async def test_a_run_in_flight_has_the_last_word(app: Starlette, driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    old = await finished(driver, thread, "echo", {"x": "a"})
    run = await driver.start(thread, "gated", gate.state)
    await gate.reached()
    await delete(app, driver, thread, old)
    assert (await driver.show(thread))["status"] == "busy"
    gate.open()
    await driver.join(thread, run["run_id"])
    assert (await driver.settled(thread))["values"]["log"][-1] == "last"


async def test_a_thread_that_is_gone(app: Starlette, driver: Driver) -> None:
    await refresh_state(app.state.server, driver.new_id())


async def test_a_graph_that_is_gone(app: Starlette, driver: Driver) -> None:
    """Its state cannot be read any more: better none than that of the run that was deleted."""
    thread = await driver.thread()
    await finished(driver, thread, "echo", {"x": "a"})
    last = await finished(driver, thread, "echo", {"x": "b"})
    await driver.http.patch(f"/threads/{thread}", json={"metadata": {"graph_id": "gone"}})
    await delete(app, driver, thread, last)
    assert (await shown(driver, thread))["values"] is None
