"""The connection of one process to Redis: it sends letters, receives those of others, and comes back after every loss.

Each process has an inbox, a stream that it alone reads, and all read the control stream. Nobody but its owner makes an
inbox, which expires when the owner does not renew it: what is sent to a process that died goes nowhere. Streams remember, so
that a short loss of the connection loses nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from waystation.futures import tell, until_done
from waystation.streams.outbox import Letter, Outbox
from waystation.streams.parcels import FORMAT
from waystation.streams.redis_wire import Command, RedisWire, opened_wire, pool_for
from waystation.timestamps import MICROSECONDS

__all__ = ["Receiver", "RedisLink"]

log = structlog.get_logger("waystation.bus")

BLOCK_S = 5
"""How long one read waits for something to arrive."""

READ_COUNT = 100
"""Entries of each stream that one read brings at most."""

UPKEEP_S = 5
"""How often the inbox is renewed, emptied of what was read, and looked after."""

INBOX_LIFE_S = 60
"""How long the inbox of a process that does not renew it is kept."""

INBOX_BYTES = 32 * 1024 * 1024
"""What an inbox that is not read may hold, roughly: large entries leave room for few, small ones for `INBOX_ENTRIES`."""

INBOX_ENTRIES = 10_000

CONTROL_ENTRIES = 5_000

CONTROL_LIFE_S = 3600

BACK_OFF_S = (0.05, 2.0)
"""The first and the longest pause before connecting again."""

RETURN_S = 3
"""How long after a loss of the connection a process without an inbox may only not be back yet."""

RETRY_S = 0.05
"""How often it is tried to send something to such a process."""

START = b"0-0"
"""The id before every entry of a stream."""


class Receiver(Protocol):
    """Who gets what arrives, on the link's event loop."""

    def greeting(self) -> bytes:
        """The notice with which this process introduces itself."""
        ...

    def came_up(self) -> None:
        """Others can be heard, from now on or again."""
        ...

    def went_down(self) -> None:
        """Others cannot be heard any longer."""
        ...

    def parcel(self, payload: bytes) -> None:
        """Something arrived in the inbox."""
        ...

    def notice(self, payload: bytes) -> None:
        """Something was said to all."""
        ...

    def gone(self, inbox: str) -> None:
        """A process to which something was sent has no inbox any more."""
        ...


class _Lost(Exception):
    """Redis has lost the inbox, or was set back to an earlier state."""


class RedisLink:
    """Carries what is in `outbox` to the streams under `prefix`, and what arrives there to `receiver`."""

    def __init__(self, url: str, prefix: str, address: str, outbox: Outbox, receiver: Receiver) -> None:
        """Raises ConfigError for a URL that cannot be read, or when redis-py or hiredis is not installed."""
        self._pool = pool_for(url)
        self._troubles = (OSError, _Lost, _redis_error())
        self._prefix = f"{prefix}:{FORMAT}"
        self._inbox = self._key(address)
        self._control = f"{self._prefix}:control"
        self._outbox = outbox
        self._receiver = receiver
        self._inbox_at: bytes | None = None
        self._control_at: bytes | None = None
        self._writer: RedisWire | None = None
        self._sending = False
        self._unsent: list[Letter] = []
        """Letters that Redis has not confirmed, oldest first."""
        self._flushes: list[asyncio.Future[bool]] = []
        self._flushing: list[asyncio.Future[bool]] = []
        """Who waits for those that are under way."""
        self._complained = False
        self._all_back_at = 0.0
        self.up = False
        self.lag_s: float | None = None
        """How long the newest message was in Redis; None before there was one."""
        self._ahead_s = 0.0
        """By how much the clock of Redis is ahead of this one."""

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = BACK_OFF_S[0]
        while True:
            try:
                await self._session()
            except self._troubles as error:
                if self.up:
                    pause = BACK_OFF_S[0]
                self._down(error)
            except Exception as error:
                log.exception("the connection to Redis failed in an unforeseen way; it is made anew")
                self._down(error)
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, BACK_OFF_S[1])

    def kick(self) -> None:
        """There is something in the outbox. On the link's event loop."""
        self._send()

    async def flushed(self, timeout_s: float) -> bool:
        """Wait until a load of what is in the outbox has been sent, signals first; False when that takes too long."""
        if not self.up:
            return False
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._flushes.append(sent)
        self._send()
        return await until_done(sent, timeout_s) and sent.result()

    async def leave(self, farewell: bytes) -> None:
        """Say goodbye and remove the inbox. Call it when `run` has ended. Raises nothing: Redis forgets by itself."""
        try:
            async with opened_wire(self._pool) as wire:
                await wire.exchange([self._letter(Letter(None, farewell)), ("DEL", self._inbox)])
        except self._troubles as error:
            log.debug("could not say goodbye to the other processes", error=str(error))

    # --- one connection

    async def _session(self) -> None:
        """Connect and exchange letters until something goes wrong, which is raised."""
        async with opened_wire(self._pool) as writer, opened_wire(self._pool) as reader:
            await self._join(writer)
            self._writer = writer
            upkeep = asyncio.create_task(self._keep_up(writer))
            try:
                self._up()
                self._read(reader)
                ended, _ = await asyncio.wait((writer.lost, reader.lost, upkeep), return_when=asyncio.FIRST_COMPLETED)
                for each in ended:
                    each.result()
            finally:
                self._writer, self._sending = None, False
                upkeep.cancel()
                await asyncio.gather(upkeep, return_exceptions=True)

    async def _join(self, writer: RedisWire) -> None:
        """Have an inbox, know from where on to read, and introduce this process."""
        (exists,) = await writer.exchange([("EXPIRE", self._inbox, INBOX_LIFE_S)])
        if exists and self._inbox_at is not None:
            (top,) = await self._tops(writer, [self._inbox])
            if _id(top) < _id(self._inbox_at):
                self._inbox_at = START
        else:
            made, _ = await writer.exchange(
                [("XADD", self._inbox, "*", "d", b""), ("EXPIRE", self._inbox, INBOX_LIFE_S)]
            )
            self._inbox_at = made
        (top,) = await self._tops(writer, [self._control])
        if self._control_at is None or _id(top) < _id(self._control_at):
            self._control_at = top if self._control_at is None else START
        asked_at = time.time()
        ((seconds, microseconds),) = await writer.exchange([("TIME",)])
        self._ahead_s = int(seconds) + int(microseconds) / MICROSECONDS - (asked_at + time.time()) / 2
        hello = self._letter(Letter(None, self._receiver.greeting()))
        await writer.exchange([hello, ("EXPIRE", self._control, CONTROL_LIFE_S)])

    def _read(self, reader: RedisWire) -> None:
        """Ask for what comes next."""
        assert self._inbox_at is not None
        assert self._control_at is not None
        command = ("XREAD", "COUNT", READ_COUNT, "BLOCK", BLOCK_S * 1000)
        streams = ("STREAMS", self._inbox, self._control, self._inbox_at, self._control_at)
        reader.ask([(*command, *streams)], partial(self._came, reader), BLOCK_S)

    def _came(self, reader: RedisWire, replies: list[Any]) -> None:
        for key, entries in replies[0] or ():
            control = key == self._control.encode()
            for entry_id, fields in entries:
                if control:
                    self._control_at = entry_id
                    self._receiver.notice(fields[1])
                else:
                    self._inbox_at = entry_id
                    if fields[1]:
                        self.lag_s = max(0.0, time.time() + self._ahead_s - _id(entry_id)[0] / 1000)
                        self._receiver.parcel(fields[1])
        self._read(reader)

    def _send(self) -> None:
        """Send all letters, unless some are under way: what comes meanwhile goes together."""
        writer = self._writer
        if writer is None or self._sending:
            return
        if self._outbox:
            self._unsent += self._outbox.take()
        self._flushing, self._flushes = self._flushes, []
        if self._unsent:
            self._sending = True
            writer.ask([self._letter(letter) for letter in self._unsent], self._sent)
        else:
            self._answer(True)

    def _sent(self, replies: list[Any]) -> None:
        """What is for a process that may come back is kept."""
        self._sending = False
        self._answer(True)
        loop = asyncio.get_running_loop()
        refused = [letter for letter, reply in zip(self._unsent, replies, strict=True) if reply is None]
        self._unsent = refused if loop.time() < self._all_back_at else []
        for inbox in {letter.inbox for letter in refused} - {letter.inbox for letter in self._unsent}:
            self._receiver.gone(inbox or "")
        if self._outbox or self._flushes:
            self._send()
        elif self._unsent:
            loop.call_later(RETRY_S, self._send)

    def _answer(self, sent: bool) -> None:
        """Tell those who wait for the letters that were under way."""
        flushes, self._flushing = self._flushing, []
        for flush in flushes:
            tell(flush, sent, None)

    async def _keep_up(self, writer: RedisWire) -> None:
        while True:
            await asyncio.sleep(UPKEEP_S)
            await self._upkeep(writer)

    async def _upkeep(self, writer: RedisWire) -> None:
        """Keep the inbox alive and short. Raises _Lost when it is gone, or when the streams' ids went back: a read from an id
        that is ahead of them would wait for ever."""
        read, heard = self._inbox_at, self._control_at
        assert read is not None
        assert heard is not None
        alive, *_ = await writer.exchange(
            [
                ("EXPIRE", self._inbox, INBOX_LIFE_S),
                ("EXPIRE", self._control, CONTROL_LIFE_S),
                ("XTRIM", self._inbox, "MINID", "~", read),
            ]
        )
        tops = await self._tops(writer, [self._inbox, self._control])
        if not alive or any(_id(top) < _id(at) for top, at in zip(tops, (read, heard), strict=True)):
            raise _Lost("what was in it is gone")

    # --- commands

    def _letter(self, letter: Letter) -> Command:
        if letter.inbox is None:
            return ("XADD", self._control, "MAXLEN", "~", CONTROL_ENTRIES, "*", "d", letter.payload)
        room = max(16, min(INBOX_ENTRIES, INBOX_BYTES // max(1, len(letter.payload))))
        return ("XADD", self._key(letter.inbox), "NOMKSTREAM", "MAXLEN", "~", room, "*", "d", letter.payload)

    def _key(self, address: str) -> str:
        return f"{self._prefix}:inbox:{address}"

    async def _tops(self, wire: RedisWire, keys: Sequence[str]) -> list[bytes]:
        """The last id that each stream has given out."""
        tops = []
        for key in keys:
            (exists,) = await wire.exchange([("EXISTS", key)])
            if not exists:
                tops.append(START)
                continue
            (info,) = await wire.exchange([("XINFO", "STREAM", key)])
            tops.append(info[info.index(b"last-generated-id") + 1])
        return tops

    # --- up and down

    def _up(self) -> None:
        self.up = True
        if self._complained:
            self._complained = False
            self._all_back_at = asyncio.get_running_loop().time() + RETURN_S
            log.info("connected to Redis again")
        self._receiver.came_up()
        self._send()

    def _down(self, error: BaseException) -> None:
        was_up, self.up = self.up, False
        if not self._complained:
            self._complained = True
            log.warning(
                "Redis cannot be reached: live events and signals of other processes are late until it can",
                error=str(error) or type(error).__name__,
            )
        self._flushing += self._flushes
        self._flushes = []
        self._answer(False)
        if was_up:
            self._receiver.went_down()


def _id(text: bytes) -> tuple[int, int]:
    """A stream entry's id, in a form that can be compared."""
    milliseconds, _, counter = text.partition(b"-")
    return int(milliseconds), int(counter or 0)


def _redis_error() -> type[Exception]:
    from redis.exceptions import RedisError

    return RedisError
