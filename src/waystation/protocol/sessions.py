"""The threads that clients of this process follow: each is read once, however many follow it.

A `Session` keeps the newest frames of a thread. Readers (`waystation.protocol.reader`) take them at their own pace.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import structlog

from waystation.protocol.batches import Batch
from waystation.protocol.frames import Frame
from waystation.protocol.tape import Tape
from waystation.streams.events import BEGINNING
from waystation.streams.following import Follower

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Session", "Sessions"]

log = structlog.get_logger("waystation.protocol")

BUFFER_BYTES = 16 * 1024 * 1024
"""How much the frames that a session keeps may take."""

REST_S, REST_A_READER_S = 0.005, 0.001
"""How long a session rests after it has told its readers of something, and how much longer for each of them: then it makes more
frames at a time and they write more at a time, and leave the processor to the run."""

LONGEST_REST_S = 0.25


class Session:
    """What happens on one thread, for all who follow it in this process."""

    def __init__(self, server: Server, thread_id: str) -> None:
        self._server = server
        self.thread_id = thread_id
        self.readers = 0
        self.frames: deque[Frame] = deque()
        self.first = 0
        """The number of frames that were kept before the oldest one that is."""
        self.tape = Tape(server.db, thread_id)
        self.ready = asyncio.Event()
        """Set once all that was stored before has been read."""
        self.over = False
        """Whether no more frames will come."""
        self._bytes = 0
        self._changed = asyncio.Event()
        self._batches: dict[tuple[int, int], Batch] = {}
        """What readers have taken since they were last woken, by its first and last places."""
        self._task = asyncio.create_task(self._follow(), name="waystation-session")

    @property
    def end(self) -> int:
        """The number of frames so far."""
        return self.first + len(self.frames)

    @property
    def seq(self) -> int:
        """The number of the newest frame, 0 without any."""
        return self.frames[-1].seq if self.frames else 0

    def close(self) -> None:
        """Nobody reads any more."""
        self._task.cancel()

    async def woken(self) -> None:
        """Wait until there is more, or it is over, or nothing has happened for as long as a heartbeat takes."""
        await self._changed.wait()

    def batch(self, start: int, end: int) -> Batch:
        """The frames from number `start` up to `end`, exclusive. Most readers take the same at the same time."""
        found = self._batches.get((start, end))
        if found is None:
            frames = [self.frames[index - self.first] for index in range(start, end)]
            found = self._batches[start, end] = Batch(frames)
        return found

    async def _follow(self) -> None:
        try:
            seen = BEGINNING
            while not self._server.bus.closed:
                seen = await self._until_cut_off(seen)
        except Exception:
            log.exception("cannot follow a thread", thread_id=self.thread_id)
        finally:
            self.over = True
            self.ready.set()
            self._wake()

    async def _until_cut_off(self, seen: int) -> int:
        """Follow the thread until the bus has no more room for us; the position up to which all is read."""
        server = self._server
        with server.bus.subscribe(self.thread_id) as subscription:
            await subscription.announce()
            follower = Follower(server.db, server.bus, subscription, server.config.heartbeat_s, after=seen, stored=True)
            await self._catch_up(follower)
            if (run := self.tape.open_run) is not None:
                follower.expect(run.run_id)
            self.ready.set()
            async with aclosing(follower.batches()) as batches:
                async for events in batches:
                    if events:
                        self._keep(await self.tape.frames(events))
                        await asyncio.sleep(min(REST_S + REST_A_READER_S * self.readers, LONGEST_REST_S))
                    else:
                        self._wake()
            return follower.seen

    async def _catch_up(self, follower: Follower) -> None:
        """Read what is stored, and the end of its last run if that is over: asked before the log is read to the end, because a
        run that is over says nothing more, and one that is not may go on to."""
        over = None
        while True:
            async with aclosing(follower.replay()) as pages:
                async for page in pages:
                    self._keep(await self.tape.frames(page))
            if over is not None and over is self.tape.open_run:
                self._keep(await self.tape.close())
            over = self.tape.open_run
            if over is None or not await self.tape.is_over(over):
                return

    def _keep(self, frames: list[Frame]) -> None:
        if not frames:
            return
        self.frames.extend(frames)
        self._bytes += sum(len(frame.envelope) for frame in frames)
        while len(self.frames) > self._server.config.event_buffer or self._bytes > BUFFER_BYTES:
            self._bytes -= len(self.frames.popleft().envelope)
            self.first += 1
        self._wake()

    def _wake(self) -> None:
        self._batches.clear()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Sessions:
    """The sessions of this process, by thread. One exists as long as somebody reads it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: dict[str, Session] = {}

    @contextmanager
    def reading(self, thread_id: str) -> Iterator[Session]:
        """A session of the thread, for as long as the block lasts."""
        session = self._open.get(thread_id)
        if session is None or session.over:
            session = self._open[thread_id] = Session(self._server, thread_id)
        session.readers += 1
        try:
            yield session
        finally:
            session.readers -= 1
            if session.readers == 0:
                session.close()
                if self._open.get(thread_id) is session:
                    del self._open[thread_id]
