"""Reading a session: each reader has a place of its own in it, so that a slow one costs nothing. What it has missed altogether it
gets from the database, or is told that it missed something.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from waystation.protocol.batches import Batch
from waystation.protocol.frames import Frame
from waystation.protocol.sessions import Session
from waystation.protocol.tape import Tape
from waystation.streams.events import BEGINNING
from waystation.streams.stored import stored_events

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Missed", "Reader"]

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

    async def replay(self, since: int, until: int | None = None) -> AsyncGenerator[Batch, None]:
        """The frames so far after the number `since`; or up to that `until` of the session's. Raises Missed."""
        await self._session.ready.wait()
        self.seen = self._floor = since
        self.at = self._session.first
        if self.at > 0 and self._session.frames[0].seq > since:
            self._past = self._stored()
        until = self._session.end if until is None else until
        while self._past is not None or self.at < until:
            yield await self.take(until)

    async def live(self) -> Batch:
        """What comes next, some frames at a time; none when nothing has come for as long as a heartbeat takes, or when it is over.
        Raises Missed."""
        await self.wait()
        return await self.take()

    async def wait(self) -> None:
        """Until there is something to take, or nothing has come for as long as a heartbeat takes."""
        if self._past is None and self.at == self._session.end and not self._session.over:
            await self._session.woken()

    async def take(self, until: int | None = None) -> Batch:
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
                return Batch(page)
            self._past, self._floor = None, self.seen
            return Batch([])
        return self._from_memory(until)

    def _from_memory(self, until: int | None) -> Batch:
        end = min(self._session.end if until is None else until, self.at + BATCH)
        taken = self._session.batch(self.at, end)
        self.at = max(self.at, end)
        if self.at == self._session.end:
            self._falls = 0
        new = taken.after(self._floor)
        if new.frames:
            self.seen = new.frames[-1].seq
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
