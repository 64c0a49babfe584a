"""When checkpoints are written (spec 6.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Driver, eventually
from tests.gate import Gate

COUNTS: list[tuple[dict[str, Any], int]] = [
    ({}, 5),
    ({"durability": "async"}, 5),
    ({"durability": "sync"}, 5),
    ({"durability": "exit"}, 1),
    ({"checkpoint_during": True}, 5),
    ({"checkpoint_during": False}, 1),
    ({"checkpoint_during": False, "durability": "sync"}, 5),
    ({"checkpoint_during": True, "durability": "exit"}, 1),
]


@pytest.mark.parametrize(("fields", "count"), COUNTS)
async def test_checkpoints_of_a_run(driver: Driver, gate: Gate, fields: dict[str, Any], count: int) -> None:
    gate.open()
    thread = await driver.thread()
    await driver.wait(thread, "gated", gate.state, **fields)
    history = await driver.history(thread)
    assert len(history) == count
    assert history[0]["values"]["log"] == ["first", "gate", "last"]


@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_a_step_is_stored_while_the_run_goes_on(driver: Driver, gate: Gate, durability: str) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state, durability=durability)
    await gate.reached()

    async def look() -> bool:
        return bool((await driver.state(thread))["values"].get("log") == ["first"])

    await eventually(look, "the checkpoint")


async def test_nothing_is_stored_before_the_exit(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state, durability="exit")
    await gate.reached()
    assert await driver.history(thread) == []
    gate.open()
    assert (await driver.settled(thread))["values"]["log"] == ["first", "gate", "last"]


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
async def test_a_failed_run_keeps_its_checkpoints(driver: Driver, durability: str) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "raiser", {"x": "value"}, durability=durability)
    assert (await driver.state(thread))["values"]["log"] == ["first"]
    assert (await driver.state(thread))["next"] == ["raise"]


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
async def test_an_interrupt_can_be_answered_with_any_durability(driver: Driver, durability: str) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "deep_question", {"x": 1}, durability=durability)
    result = await driver.wait(thread, "deep_question", command={"resume": "me"}, durability=durability)
    assert result["log"][-2:] == ["told me", "after"]
