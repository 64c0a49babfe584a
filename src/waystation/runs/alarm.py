"""When a worker looks for runs: as soon as it is told of one, and when one that was scheduled for later is due."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from waystation.errors import Unavailable
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["Alarm", "while_open"]

log = structlog.get_logger("waystation.runs")

Errand = Callable[[], Coroutine[Any, Any, None]]


class Alarm:
    """Calls `at_once` and `at_due` on the event loop it was started on."""

    def __init__(self, at_once: Errand, at_due: Errand) -> None:
        self._at_once = at_once
        self._at_due = at_due
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._rung = False
        self._answering = False
        self._timer: asyncio.TimerHandle | None = None
        self._errands: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """From now on, and on this loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Nothing is due any more."""
        if self._timer is not None:
            self._timer.cancel()

    def ring(self) -> None:
        """Call `at_once`; calls that come while one is being answered are answered together. From any thread."""
        with self._lock:
            self._rung = True
            if self._answering or self._loop is None or self._loop.is_closed():
                return
            self._answering = True
        self._loop.call_soon_threadsafe(self._spawn, self._answer)

    def ring_at(self, due_us: int) -> None:
        """Call `at_due` at this time (microseconds since the epoch), or at an earlier one that was asked for. From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set_timer, due_us)

    async def _answer(self) -> None:
        try:
            while self._taken_up():
                await self._at_once()
        except BaseException:
            self._answering = False
            raise

    def _taken_up(self) -> bool:
        with self._lock:
            self._answering, self._rung = self._rung, False
            return self._answering

    def _set_timer(self, due_us: int) -> None:
        assert self._loop is not None
        when = self._loop.time() + max(0.0, (due_us - now_us()) / MICROSECONDS)
        if self._timer is not None:
            if self._loop.time() < self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._due)

    def _due(self) -> None:
        self._timer = None
        self._spawn(self._at_due)

    def _spawn(self, errand: Errand) -> None:
        task = asyncio.ensure_future(while_open(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


async def while_open(errand: Callable[[], Awaitable[None]]) -> None:
    """Look for runs. If that fails, the safety net will."""
    try:
        await errand()
    except Unavailable:
        log.debug("the database closed while looking for the next run")
    except Exception:
        log.exception("could not look for the next run; the safety net will")
