"""The threads that clients of this process follow: each is read once, however many follow it.

A `Session` keeps the newest frames of a thread. Readers (`waystation.protocol.reader`) take them at their own pace.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import structlog

from waystation.protocol.filters import Filter
from waystation.protocol.frames import Frame, sse
from waystation.protocol.tape import Tape
from waystation.streams.events import BEGINNING
from waystation.streams.following import Follower

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Session", "Sessions"]

log = structlog.get_logger("waystation.protocol")

BUFFER_BYTES = 16 * 1024 * 1024
"""How much the frames that a session keeps may take."""

REST_S = 0.001
"""How long the readers of a thread wait after they were told of something, for each of them: then they write more at a time, and
leave the processor to the run. Alone a reader does not wait."""

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
        self._loop = asyncio.get_running_loop()
        self._rest_until = 0.0
        self._waking: asyncio.TimerHandle | None = None
        self._encoded: dict[tuple[Filter, int, int], bytes] = {}
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
        if self._waking is not None:
            self._waking.cancel()

    async def changed(self, timeout_s: float) -> None:
        """Wait until there is more, or it is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

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
        if self._waking is None:
            self._waking = self._loop.call_at(self._rest_until, self._wake)

    def _wake(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._waking = None
        self._rest_until = self._loop.time() + min(REST_S * (self.readers - 1), LONGEST_REST_S)
        self._encoded.clear()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def encoded(self, frames: Sequence[Frame], wanted: Filter) -> bytes:
        """What `wanted` wants of these frames, as server-sent events. Most readers want the same of the same at the same time."""
        if not frames:
            return b""
        key = wanted, frames[0].seq, len(frames)
        found = self._encoded.get(key)
        if found is None:
            found = self._encoded[key] = sse([frame for frame in frames if wanted.wants(frame)])
        return found


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
