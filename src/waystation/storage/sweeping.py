"""The loop of everything that removes what has expired: threads, store items, events.

A *sweep* is an asynchronous generator: it does one short transaction and yields how many things that removed, until nothing
is left to do. Between two of its transactions it rests as long as the last one took, so that other writers are never kept
waiting for more than one of them, and have at least half of the time for themselves however much there is to remove. The
time it takes includes waiting for one's turn: the busier the database, the slower the sweep.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

__all__ = ["Sweep", "sweep_once", "sweep_regularly"]

log = structlog.get_logger("waystation.sweeper")

Sweep = AsyncGenerator[int, None]

REST_S = 0.005
"""The shortest rest between two transactions."""

FIRST_S = 60
"""Within this long after the start comes the first sweep, even where sweeps are rare: processes may live for shorter than the
interval. The moment is left to chance, because several processes may have started together."""


async def sweep_once(sweep: Sweep) -> int:
    """Carry out one sweep with its rests; returns how many things it removed."""
    removed = 0
    async with aclosing(sweep) as steps:
        began = time.monotonic()
        async for count in steps:
            removed += count
            await asyncio.sleep(max(REST_S, time.monotonic() - began))
            began = time.monotonic()
    return removed


async def sweep_regularly(what: str, interval_s: float, new_sweep: Callable[[], Sweep]) -> None:
    """Sweep every `interval_s` seconds until cancelled. One that fails is logged; the next one may succeed."""
    await asyncio.sleep(min(interval_s, FIRST_S) * random.random())
    while True:
        try:
            removed = await sweep_once(new_sweep())
        except Exception:  # whatever goes wrong with one sweep, the loop has to go on
            log.exception("could not sweep", what=what)
        else:
            if removed:
                log.info("swept what has expired", what=what, removed=removed)
        await asyncio.sleep(interval_s)
