"""The runs that a worker executes, and its room for more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from waystation.runs.lifecycle import Claimed
from waystation.streams.log import RunLog

__all__ = ["Running", "Slots"]

REMEMBERED_STOPS = 1024
"""Stop signals kept for runs that are just being handed to this worker."""


class Running(Struct):
    """A run that this worker executes."""

    run: Claimed
    task: asyncio.Task[None] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stop_asked_at: float | None = None
    hand_back: bool = False
    settling: bool = False
    """The graph is done with: from here on nothing may cancel the task, or the run would stay held for good."""
    abandoned: bool = False
    timed_out: bool = False
    """Set on the attempt that settles a run which did not stop at its time limit."""
    began_at: float = field(default_factory=time.monotonic)
    left_more: bool = False
    """Whether its thread has further runs waiting, which nobody could start before it was settled."""
    events: RunLog | None = None

    def begin(self) -> None:
        """It is the current task, on its own loop, that executes the run."""
        self.task, self.loop = asyncio.current_task(), asyncio.get_running_loop()

    def cancel(self) -> None:
        """Cancel the run's task, on its own loop; before the task exists it is for the task to see that it is to stop. From any
        thread."""
        if self.loop is not None:

            def cancel() -> None:
                if self.task is not None and not self.settling:
                    self.task.cancel()

            self.loop.call_soon_threadsafe(cancel)


class Slots:
    """Room for `jobs` runs at a time. Usable from every thread."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.closed = False
        """No more runs are taken."""
        self.queue_may_have_more = True
        """Whether the queue may hold a run for a slot that gets free. It is only known not to after a claim that found less than it
        could have taken."""
        self._news = 0
        """How often there was word of something in the queue."""
        self._running: dict[str, Running] = {}
        self._reserved = 0
        self._stops: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many runs are executed."""
        return len(self._running)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._running

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running.values()))

    @property
    def free(self) -> int:
        """How many runs could be taken."""
        return 0 if self.closed else max(0, self.jobs - len(self._running) - self._reserved)

    def reserve(self, most: int = 1) -> int:
        """Reserve up to `most` slots. Returns how many; each is passed on to `occupy` or `release`."""
        with self._lock:
            got = min(most, self.free)
            self._reserved += got
        return got

    def expect_more(self) -> None:
        """The queue may have got a run."""
        with self._lock:
            self._news += 1
            self.queue_may_have_more = True

    def begin_claim(self, most: int | None) -> tuple[int, int]:
        """Reserve slots for a claim: all, or `most`. Returns how many, and what to pass to `end_claim` afterwards."""
        with self._lock:
            got = self.free if most is None else min(most, self.free)
            self._reserved += got
            self.queue_may_have_more = True  # a slot that gets free meanwhile must not be left empty
            return got, self._news

    def end_claim(self, got: int, used: int, news: int) -> None:
        """The claim for which `got` slots were reserved has found `used` runs, which are passed on to `occupy`."""
        with self._lock:
            self._reserved -= got - used
            if used < got and news == self._news:
                self.queue_may_have_more = False

    def release(self, count: int = 1) -> None:
        """Give back slots that were not needed."""
        with self._lock:
            self._reserved -= count

    def occupy(self, run: Claimed, *, reserved: bool = True, timed_out: bool = False) -> Running:
        """Put a run into a reserved slot, or, where one has to be executed by all means, beyond them."""
        running = Running(run, timed_out=timed_out)
        with self._lock:
            self._reserved -= reserved
            self._running[run.run_id] = running
            running.stop_asked_at = self._stops.pop(run.run_id, None)
        return running

    def leave(self, running: Running) -> None:
        """The run is executed no longer."""
        with self._lock:
            if self._running.get(running.run.run_id) is running:
                del self._running[running.run.run_id]

    def stop(self, run_ids: Sequence[str], asked_at: float | None = None) -> list[str]:
        """Stop these runs, as was asked for at `asked_at` (`time.monotonic`), now or before. One that is not executed is stopped once it
        is. Returns the ids of those."""
        elsewhere: list[str] = []
        for run_id in run_ids:
            at = time.monotonic() if asked_at is None else asked_at
            with self._lock:
                running = self._running.get(run_id)
                if running is None:
                    elsewhere.append(run_id)
                    self._stops[run_id] = at
                    if len(self._stops) > REMEMBERED_STOPS:
                        self._stops.popitem(last=False)
                    continue
                running.stop_asked_at = running.stop_asked_at or at
            running.cancel()
        return elsewhere
