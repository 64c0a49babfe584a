"""The threads that clients of this process follow: each is read once, however many follow it.

A `Session` keeps the newest frames of a thread. Readers take them at their own pace, each from its own place, so that a slow one
costs nothing; what it has missed altogether it reads from the database again, or is told that it missed something.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import structlog

from waystation.protocol.filters import Filter
from waystation.protocol.frames import Frame, sse
from waystation.protocol.tape import Tape
from waystation.streams.events import BEGINNING
from waystation.streams.following import Follower
from waystation.streams.stored import stored_events

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Missed", "Reader", "Session", "Sessions"]

log = structlog.get_logger("waystation.protocol")

BUFFER_BYTES = 64 * 1024 * 1024
"""How much the frames that a session keeps may take."""

REST_S = 0.0004
"""How long the readers of a thread wait after they were told of something, for each of them: then they write more at a time, and
leave the processor to the run. Alone a reader does not wait."""

BATCH = 256
"""Frames that a reader takes at a time."""

FALLS = 3
"""How often a reader may fall behind before it has ever caught up again: it is slower than the thread."""


class Missed(Exception):
    """A reader was too slow: frames that it has not seen are no longer kept."""

    def __init__(self, seen: int, oldest: int) -> None:
        super().__init__(seen, oldest)
        self.seen = seen
        """The number of the last frame it has seen; 0 for none."""
        self.oldest = oldest
        """The number of the oldest that there still is."""


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
        self._rest_until = self._loop.time() + REST_S * (self.readers - 1)
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


class Reader:
    """One place in a session, which moves on as frames are taken."""

    def __init__(self, session: Session, server: Server) -> None:
        self._session = session
        self._server = server
        self.at = session.first
        self.seen = 0
        """The number of the last frame that was taken."""
        self._floor = 0
        """Frames up to this number were taken before they came up in memory."""
        self._past: AsyncGenerator[list[Frame], None] | None = None
        """What is being read from the database."""
        self._falls = 0
        """How often it has fallen behind since it was up to date."""

    def skip(self) -> None:
        """Go on from what is newest."""
        self.at, self.seen = self._session.end, self._session.seq

    async def replay(self, since: int, until: int | None = None) -> AsyncGenerator[list[Frame], None]:
        """The frames so far after the number `since`; or up to that `until` of the session's. Raises Missed."""
        await self._session.ready.wait()
        self.seen = self._floor = since
        self.at = self._session.first
        if self.at > 0 and self._session.frames[0].seq > since:
            self._past = self._stored()
        until = self._session.end if until is None else until
        while self._past is not None or self.at < until:
            yield await self.take(until)

    async def live(self, timeout_s: float) -> list[Frame]:
        """What comes next, some frames at a time; none when `timeout_s` passes first, or when it is over. Raises Missed."""
        await self.wait(timeout_s)
        return await self.take()

    async def wait(self, timeout_s: float) -> None:
        """Until there is something to take, at most `timeout_s` seconds."""
        if self._past is None and self.at == self._session.end and not self._session.over:
            await self._session.changed(timeout_s)

    async def take(self, until: int | None = None) -> list[Frame]:
        """Some of the frames that there are, or of those up to that `until` of the session's. A reader that has fallen behind
        gets what it has missed from the database. Raises Missed when that happens again and again."""
        if self._past is None and self.at < self._session.first:
            if self._falls >= FALLS:
                raise Missed(self.seen, self._session.frames[0].seq)
            self._falls += 1
            self._past = self._stored()
        if self._past is not None:
            page = await anext(self._past, None)
            if page is not None:
                return page
            self._past, self._floor = None, self.seen
            return []
        return self._from_memory(until)

    def _from_memory(self, until: int | None) -> list[Frame]:
        frames, first = self._session.frames, self._session.first
        end = min(self._session.end if until is None else until, self.at + BATCH)
        taken = [frames[index - first] for index in range(self.at, end)]
        self.at += len(taken)
        if self.at == self._session.end:
            self._falls = 0
        new = [frame for frame in taken if frame.seq > self._floor]
        if new:
            self.seen = new[-1].seq
        return new

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._session.over and self.at == self._session.end

    async def close(self) -> None:
        """Nobody reads here any more."""
        if self._past is not None:
            await self._past.aclose()

    async def _stored(self) -> AsyncGenerator[list[Frame], None]:
        """What the database has and is new to this reader, up to what the session keeps."""
        tape = Tape(self._server.db, self._session.thread_id)
        pages = stored_events(self._server.db, self._session.thread_id, None, BEGINNING)
        async with aclosing(pages):
            # Where memory begins is looked up before the database is read: so what is older is there, whatever happens meanwhile.
            self.at, oldest = self._session.first, self._session.frames[0].seq
            async for page in pages:
                frames = await tape.frames(page)
                if new := [frame for frame in frames if self.seen < frame.seq < oldest]:
                    self.seen = new[-1].seq
                    yield new
                if frames and frames[-1].seq >= oldest:
                    return
                self.at, oldest = self._session.first, self._session.frames[0].seq


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
