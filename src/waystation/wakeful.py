"""A loop that sleeps until it has something to do, and can be woken: what the scheduler and the webhooks have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from waystation.errors import Overloaded, Unavailable
from waystation.futures import until_done
from waystation.timestamps import MICROSECONDS

__all__ = ["SHORTEST_S", "WakefulLoop", "rest_until"]

log = structlog.get_logger("waystation.loop")

STOP_S = 5
"""How long a look may take to finish when the loop stops."""

SHORTEST_S = 0.01
"""The shortest rest between two looks: what is due may be in the hands of another process just now."""

EARLY_S = 0.001
"""What a sleep may end too early by, so that the first look after it finds what is due."""


def rest_until(due: int, now: int) -> float:
    """Seconds to rest when the next thing is due at `due` (both in microseconds)."""
    return max(SHORTEST_S, (due - now) / MICROSECONDS + EARLY_S)


class WakefulLoop:
    """Calls `look` again and again. It says after how many seconds it wants to be called next, which is never later than after
    `safety_net_s`, and sooner after `wake`. One that fails is called again all the same."""

    def __init__(self, name: str, look: Callable[[], Awaitable[float]], safety_net_s: float) -> None:
        self._name = name
        self._look = look
        self._safety_net_s = safety_net_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on this event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name=f"waystation-{self._name}")

    def wake(self) -> None:
        """There may be something to do. From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    async def stop(self) -> None:
        """Finish the look that is going on, and end. May be called twice, and without `start`."""
        self._stopping = True
        self._woken.set()
        task, self._task = self._task, None
        if task is None:
            return
        if not await until_done(task, STOP_S):
            task.cancel()
            await until_done(task)

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            rest_s = min(self._safety_net_s, await self._looked())
            if self._stopping:
                return
            # Not `wait_for`, which may swallow a cancellation before Python 3.12.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._woken.wait()

    async def _looked(self) -> float:
        try:
            return await self._look()
        except Overloaded as error:
            return error.retry_after_s
        except Unavailable:
            log.debug("the database closed under a loop", loop=self._name)
        except Exception:  # whatever goes wrong with one look, the next may succeed
            log.exception("a look failed; there will be another", loop=self._name)
        return self._safety_net_s
