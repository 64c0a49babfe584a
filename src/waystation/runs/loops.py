"""Event loops for user code, each on a thread of its own, so that a blocking node cannot freeze the API.

One loop serves all runs as long as it answers. A loop that does not (a node calls ``time.sleep`` in ``async def``) is passed
over: new runs go to another loop, started if need be, and so do runs that were sent to it and have not begun; the log names
the run, the node and the line that blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from langchain_core.runnables.config import var_child_runnable_config

from waystation.runs.node_threads import NodeLoop

__all__ = ["RunnerLoops", "current_run"]

log = structlog.get_logger("waystation.runs")

BEAT_S = 0.05
"""How often a loop shows that it is alive."""

UNRESPONSIVE_S = 0.2
"""Silence after which a loop gets no new runs."""

STALL_S = 0.5
"""Silence after which the log says what blocks the loop."""

MAX_LOOPS = 32
"""Loops started at most: past that, runs queue up behind the blocking ones."""

LEFT_S = 0.5
"""How long tasks may take to end that are left when a loop is stopped."""

STACK_LINES = 12
"""Innermost frames of a blocking stack that the log shows."""

current_run: contextvars.ContextVar[str | None] = contextvars.ContextVar("current_run", default=None)
"""The run that the current task belongs to."""

Main = Callable[[], Coroutine[Any, Any, None]]


class _RunnerLoop:
    """One loop on one thread."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.loop = NodeLoop(threads, f"{name}-node")
        self.beat = time.monotonic()
        self.reported = False
        self.load = 0
        self._waiting: deque[tuple[str, Main]] = deque()
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)
        self.thread.start()

    def silence(self) -> float:
        """Seconds since the loop last showed that it is alive."""
        return time.monotonic() - self.beat

    def start(self, run_id: str, main: Main) -> None:
        """Run `main()` as a task of run `run_id`. From any thread."""
        self.load += 1
        self._waiting.append((run_id, main))
        self.loop.call_soon_threadsafe(self._start)

    def surrender(self) -> list[tuple[str, Main]]:
        """What was to be started here and has not begun, for another loop. From any thread."""
        taken: list[tuple[str, Main]] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._waiting.popleft())
        self.load -= len(taken)
        return taken

    def blocking(self) -> tuple[str | None, str | None, str]:
        """What the loop is busy with: run id, node, stack."""
        task = asyncio.current_task(self.loop)
        frame = sys._current_frames().get(self.thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)[-STACK_LINES:]) if frame else ""
        context = _context_of(task) if task is not None else None
        return (context.get(current_run), _node(context), stack) if context is not None else (None, None, stack)

    def _start(self) -> None:
        try:
            run_id, main = self._waiting.popleft()
        except IndexError:  # surrendered
            return
        context = contextvars.Context()  # whoever calls this may be working on another run, or on somebody's request
        context.run(current_run.set, run_id)
        task = self.loop.create_task(main(), context=context)
        task.add_done_callback(self._done)

    def _done(self, _task: asyncio.Task[None]) -> None:
        self.load -= 1

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._beat()
        self.loop.run_forever()
        with contextlib.suppress(RuntimeError):
            self.loop.run_until_complete(_end_tasks())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def _beat(self) -> None:
        self.beat = time.monotonic()
        self.reported = False
        self.loop.call_later(BEAT_S, self._beat)


class RunnerLoops:
    """The loops of one worker."""

    def __init__(self, threads: int) -> None:
        """`threads` is how many synchronous nodes may run at once on each loop."""
        self._threads = threads
        self._loops: list[_RunnerLoop] = [_RunnerLoop("waystation-runner-0", threads)]
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="waystation-watchdog", daemon=True)
        self._watchdog.start()

    def start(self, run_id: str, main: Main) -> None:
        """Run `main()` on a loop that answers."""
        self._pick().start(run_id, main)

    def close(self) -> None:
        """Stop all loops. A blocked one is left behind: its thread is a daemon."""
        self._closing.set()
        for runner in self._loops:
            runner.loop.call_soon_threadsafe(runner.loop.stop)
        for runner in self._loops:
            runner.thread.join(timeout=0.5 if runner.silence() > UNRESPONSIVE_S else 5)
        self._watchdog.join()

    def _pick(self) -> _RunnerLoop:
        with self._lock:
            responsive = [runner for runner in self._loops if runner.silence() < UNRESPONSIVE_S]
            if responsive:
                return responsive[0]
            if len(self._loops) < MAX_LOOPS:
                self._loops.append(_RunnerLoop(f"waystation-runner-{len(self._loops)}", self._threads))
                return self._loops[-1]
            return min(self._loops, key=lambda runner: runner.load)

    def _watch(self) -> None:
        while not self._closing.wait(BEAT_S):
            for runner in self._loops:
                silence = runner.silence()
                if silence > UNRESPONSIVE_S:
                    for run_id, main in runner.surrender():
                        self.start(run_id, main)
                if silence > STALL_S and not runner.reported:
                    runner.reported = True
                    blocking_run, node, stack = runner.blocking()
                    log.warning(
                        "a node blocks its event loop",
                        run_id=blocking_run,
                        node=node,
                        blocked_s=round(silence, 2),
                        hint="call blocking code with asyncio.to_thread, or make the node a plain def",
                        stack=stack,
                    )


async def _end_tasks() -> None:
    """Cancel what is left on the loop. A generator in use by a task cannot be closed under it."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEFT_S)


def _context_of(task: asyncio.Task[Any]) -> contextvars.Context | None:
    """The context a task runs in, which it shows nobody before Python 3.12 but the garbage collector."""
    return next((each for each in gc.get_referents(task) if isinstance(each, contextvars.Context)), None)


def _node(context: contextvars.Context) -> str | None:
    """The node that a task is executing: LangGraph runs each in a context that holds its config."""
    config = context.get(var_child_runnable_config) or {}
    return (config.get("metadata") or {}).get("langgraph_node")
