"""The loop that removes what has expired, whatever it is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from waystation.storage import sweeping
from waystation.storage.sweeping import Sweep, sweep_once, sweep_regularly


async def counted(*counts: int, before: Callable[[], None] = lambda: None) -> Sweep:
    for count in counts:
        before()
        yield count


async def test_one_sweep_takes_all_steps() -> None:
    assert await sweep_once(counted(3, 0, 4)) == 7
    assert await sweep_once(counted()) == 0


async def test_others_get_their_turn_between_two_steps() -> None:
    order: list[str] = []
    sweep = asyncio.create_task(sweep_once(counted(*[1] * 5, before=lambda: order.append("sweep"))))
    while not sweep.done():
        order.append("other")
        await asyncio.sleep(0)
    assert order.count("sweep") == 5
    assert not any(a == b == "sweep" for a, b in itertools.pairwise(order))


async def test_the_loop_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "FIRST_S", 0.001)
    sweeps: list[str] = []
    again = asyncio.Event()

    async def failing() -> Sweep:
        sweeps.append("begun")
        yield 1
        if len(sweeps) == 1:
            raise RuntimeError("the database is away")
        again.set()

    loop = asyncio.create_task(sweep_regularly("things", 0.001, failing))
    async with asyncio.timeout(10):
        await again.wait()
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_a_sweep_that_is_cancelled_is_closed() -> None:
    closed = asyncio.Event()

    async def endless() -> Sweep:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    sweep = asyncio.create_task(sweep_once(endless()))
    await asyncio.sleep(0)
    sweep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweep
    assert closed.is_set()
