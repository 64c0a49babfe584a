"""Moments at which to kill a server."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.processes import ServerProcess

__all__ = ["AT_NIGHT", "EVERY_KILL_POINT", "kill_after", "kill_and_restart"]

IN_EVERY_RUN = 3
AT_NIGHT = 20

EVERY_KILL_POINT = pytest.mark.parametrize(
    "kill_point",
    [pytest.param(number, marks=() if number < IN_EVERY_RUN else pytest.mark.nightly) for number in range(AT_NIGHT)],
)
"""Repeats a test at random moments: a few times in `make test`, all of them in `make nightly`."""


def kill_after(kill_point: int, longest_s: float) -> float:
    """Seconds to wait before the kill: random, but such that few kill points already cover the whole of `longest_s`."""
    slice_s = longest_s / IN_EVERY_RUN
    return (kill_point % IN_EVERY_RUN + random.random()) * slice_s


async def kill_and_restart(server: ServerProcess) -> None:
    """What an operator's supervisor does after a crash."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
