"""Threads for what must not run on an event loop: synchronous nodes, and whatever else is handed to `asyncio.to_thread`.

Most nodes are done in less time than it takes to wake a thread, and every thread that is awake wants the interpreter. So work
is left to a thread that is awake, if one is about to look for it; and where the last piece was begun just now, the next waits a
moment for the same thread before others are woken. Of those that sleep, the last to fall asleep is woken first. That, and
futures of the loop instead of futures of threads, is worth a twentieth of a short run.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, Unpack

import uvloop
from msgspec import Struct

from waystation.futures import tell

__all__ = ["NodeLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE_S = 0.002
"""How long a thread that has begun with something is expected to be through with it."""


class NodeLoop(uvloop.Loop):
    """An event loop with such threads, `limit` at most, in the place of a default executor."""

    def __init__(self, limit: int, name: str) -> None:
        super().__init__()
        self._threads: _Threads | None = _Threads(self, limit, name)
        self._on_thread = 0

    def run_forever(self) -> None:
        self._on_thread = threading.get_ident()
        super().run_forever()

    def set_default_executor(self, executor: Any) -> None:
        self._threads = None  # somebody has other plans
        super().set_default_executor(executor)

    def run_in_executor(  # type: ignore[override]  # uvloop's stub says Coroutine
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        if executor is not None or self._threads is None or self._on_thread != threading.get_ident():
            elsewhere: Any = super().run_in_executor(executor, func, *args)
            return elsewhere  # type: ignore[no-any-return]
        future: asyncio.Future[T] = self.create_future()
        self._threads.submit(_Work(partial(func, *args) if args else func, future))
        return future

    def close(self) -> None:
        if self._threads is not None:
            self._threads.close()
        super().close()


class _Work(Struct):
    run: Callable[[], Any]
    future: asyncio.Future[Any]


class _Threads:
    """Threads that work for one loop. What comes of the work is told there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, name: str) -> None:
        self._loop = loop
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[_Work] = deque()
        self._asleep: list[threading.Lock] = []
        """For each thread that sleeps, the lock it waits for."""
        self._started = 0
        self._looking = 0
        """Threads that are awake and about to look for work."""
        self._last_begun = 0.0
        """When a thread began with a piece of work, by the monotonic clock."""
        self._watching = False
        """Whether `_watch` is going to be called."""
        self._closed = False

    def submit(self, work: _Work) -> None:
        """Have it done. On the loop's thread."""
        with self._lock:
            self._waiting.append(work)
            if len(self._waiting) <= self._looking:
                return
            if not self._looking and not self._about_to_look():
                self._wake()
                return
            watch, self._watching = not self._watching, True
        if watch:
            self._loop.call_later(PATIENCE_S, self._watch)

    def close(self) -> None:
        """Let go of the threads: those that work end when they are through with it."""
        with self._lock:
            self._closed = True
            for asleep in self._asleep:
                asleep.release()

    def _about_to_look(self) -> bool:
        """Whether a thread is at work that probably will not be for long."""
        return len(self._asleep) < self._started and time.monotonic() - self._last_begun < PATIENCE_S

    def _watch(self) -> None:
        """Wake threads for what waits, if those that were to do it are held up."""
        with self._lock:
            self._watching = bool(self._waiting) and bool(self._asleep or self._started < self._limit)
            if not self._watching:
                return
            if not self._looking and not self._about_to_look():
                for _ in self._waiting:
                    self._wake()
        self._loop.call_later(PATIENCE_S, self._watch)

    def _wake(self) -> None:
        if self._asleep:
            self._asleep.pop().release()
        elif self._started < self._limit:
            threading.Thread(target=self._work, name=f"{self._name}_{self._started}", daemon=True).start()
            self._started += 1
        else:
            return
        self._looking += 1

    def _work(self) -> None:
        awake = threading.Lock()
        awake.acquire()
        while True:
            with self._lock:
                self._looking -= 1
                if self._closed:
                    return
                work = self._waiting.popleft() if self._waiting else None
                if work is None:
                    self._asleep.append(awake)
                else:
                    self._last_begun = time.monotonic()
            if work is None:
                awake.acquire()
            else:
                self._do(work)
                del work  # it may be large, and the thread may sleep for long
                with self._lock:
                    self._looking += 1

    def _do(self, work: _Work) -> None:
        if work.future.cancelled():
            return
        result: Any = None
        error: BaseException | None = None
        try:
            result = work.run()
        except StopIteration as stop:  # which no future can hold
            error = RuntimeError("a function on a thread raised StopIteration")
            error.__cause__ = stop
        except BaseException as raised:  # noqa: BLE001 - for whoever awaits it
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody awaits it any more
            self._loop.call_soon_threadsafe(tell, work.future, result, error)
