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
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from waystation.errors import ConfigError
from waystation.futures import until_done
from waystation.streams.outbox import Letter, Outbox
from waystation.streams.parcels import FORMAT
from waystation.timestamps import MICROSECONDS

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection, ConnectionPool

__all__ = ["Receiver", "RedisLink"]

log = structlog.get_logger("waystation.bus")

EXCHANGE_S = 5
"""How long Redis may take to answer."""

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
        """Raises ConfigError for a URL that cannot be read, or when redis-py is not installed."""
        self._pool = _pool(url)
        self._troubles = (OSError, _Lost, _redis_error())
        self._prefix = f"{prefix}:{FORMAT}"
        self._inbox = self._key(address)
        self._control = f"{self._prefix}:control"
        self._outbox = outbox
        self._receiver = receiver
        self._inbox_at: bytes | None = None
        self._control_at: bytes | None = None
        self._work = asyncio.Event()
        self._unsent: list[Letter] = []
        self._flushes: list[asyncio.Future[bool]] = []
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
        self._work.set()

    async def flushed(self, timeout_s: float) -> bool:
        """Wait until a load of what is in the outbox has been sent, signals first; False when that takes too long."""
        if not self.up:
            return False
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._flushes.append(sent)
        self._work.set()
        return await until_done(sent, timeout_s) and sent.result()

    async def leave(self, farewell: bytes) -> None:
        """Say goodbye and remove the inbox. Call it when `run` has ended. Raises nothing: Redis forgets by itself."""
        try:
            connection = await self._connect()
            try:
                await self._exchange(connection, [self._letter(Letter(None, farewell)), ("DEL", self._inbox)])
            finally:
                await connection.disconnect()
        except self._troubles as error:
            log.debug("could not say goodbye to the other processes", error=str(error))

    # --- one connection

    async def _session(self) -> None:
        """Connect and exchange letters until something goes wrong, which is raised."""
        writer = reader = None
        tasks: list[asyncio.Task[None]] = []
        try:
            writer, reader = await self._connect(), await self._connect()
            await self._join(writer)
            self._up()
            tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._write(writer))]
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for connection in (writer, reader):
                if connection is not None:
                    await connection.disconnect(nowait=True)

    async def _join(self, writer: AbstractConnection) -> None:
        """Have an inbox, know from where on to read, and introduce this process."""
        (exists,) = await self._exchange(writer, [("EXPIRE", self._inbox, INBOX_LIFE_S)])
        if exists and self._inbox_at is not None:
            (top,) = await self._tops(writer, [self._inbox])
            if _id(top) < _id(self._inbox_at):
                self._inbox_at = START
        else:
            made, _ = await self._exchange(
                writer, [("XADD", self._inbox, "*", "d", b""), ("EXPIRE", self._inbox, INBOX_LIFE_S)]
            )
            self._inbox_at = made
        (top,) = await self._tops(writer, [self._control])
        if self._control_at is None or _id(top) < _id(self._control_at):
            self._control_at = top if self._control_at is None else START
        asked_at = time.time()
        ((seconds, microseconds),) = await self._exchange(writer, [("TIME",)])
        self._ahead_s = int(seconds) + int(microseconds) / MICROSECONDS - (asked_at + time.time()) / 2
        hello = self._letter(Letter(None, self._receiver.greeting()))
        await self._exchange(writer, [hello, ("EXPIRE", self._control, CONTROL_LIFE_S)])

    async def _read(self, reader: AbstractConnection) -> None:
        while True:
            assert self._inbox_at is not None
            assert self._control_at is not None
            command = ("XREAD", "COUNT", READ_COUNT, "BLOCK", BLOCK_S * 1000)
            streams = ("STREAMS", self._inbox, self._control, self._inbox_at, self._control_at)
            (found,) = await self._exchange(reader, [(*command, *streams)], BLOCK_S + EXCHANGE_S)
            for key, entries in found or ():
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

    async def _write(self, writer: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        upkeep_at = loop.time() + UPKEEP_S
        while True:
            if not self._outbox and not self._flushes:
                self._work.clear()
                if not self._outbox:
                    await _wait(self._work, RETRY_S if self._unsent else upkeep_at - loop.time())
            flushes, self._flushes = self._flushes, []
            sent = False
            try:
                self._unsent += self._outbox.take()
                await self._send(writer)
                sent = True
            finally:
                _answer(flushes, sent)
            if loop.time() >= upkeep_at:
                await self._upkeep(writer)
                upkeep_at = loop.time() + UPKEEP_S

    async def _send(self, writer: AbstractConnection) -> None:
        """Send all letters. What is for a process that may come back is kept."""
        letters = self._unsent
        if not letters:
            return
        replies = await self._exchange(writer, [self._letter(letter) for letter in letters])
        refused = [letter for letter, reply in zip(letters, replies, strict=True) if reply is None]
        self._unsent = refused if asyncio.get_running_loop().time() < self._all_back_at else []
        for inbox in {letter.inbox for letter in refused} - {letter.inbox for letter in self._unsent}:
            self._receiver.gone(inbox or "")

    async def _upkeep(self, writer: AbstractConnection) -> None:
        """Keep the inbox alive and short. Raises _Lost when it is gone, or when the streams' ids went back: a read from an id
        that is ahead of them would wait for ever."""
        read, heard = self._inbox_at, self._control_at
        assert read is not None
        assert heard is not None
        alive, *_ = await self._exchange(
            writer,
            [
                ("EXPIRE", self._inbox, INBOX_LIFE_S),
                ("EXPIRE", self._control, CONTROL_LIFE_S),
                ("XTRIM", self._inbox, "MINID", "~", read),
            ],
        )
        tops = await self._tops(writer, [self._inbox, self._control])
        if not alive or any(_id(top) < _id(at) for top, at in zip(tops, (read, heard), strict=True)):
            raise _Lost("what was in it is gone")

    # --- commands

    def _letter(self, letter: Letter) -> tuple[Any, ...]:
        if letter.inbox is None:
            return ("XADD", self._control, "MAXLEN", "~", CONTROL_ENTRIES, "*", "d", letter.payload)
        room = max(16, min(INBOX_ENTRIES, INBOX_BYTES // max(1, len(letter.payload))))
        return ("XADD", self._key(letter.inbox), "NOMKSTREAM", "MAXLEN", "~", room, "*", "d", letter.payload)

    def _key(self, address: str) -> str:
        return f"{self._prefix}:inbox:{address}"

    async def _tops(self, connection: AbstractConnection, keys: Sequence[str]) -> list[bytes]:
        """The last id that each stream has given out."""
        tops = []
        for key in keys:
            (exists,) = await self._exchange(connection, [("EXISTS", key)])
            if not exists:
                tops.append(START)
                continue
            (info,) = await self._exchange(connection, [("XINFO", "STREAM", key)])
            tops.append(info[info.index(b"last-generated-id") + 1])
        return tops

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        async with asyncio.timeout(EXCHANGE_S):
            await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def _exchange(
        self, connection: AbstractConnection, commands: Sequence[tuple[Any, ...]], timeout_s: float = EXCHANGE_S
    ) -> list[Any]:
        """Send commands together; their replies. redis-py's own client would take three times as long."""
        packed = [piece for command in commands for piece in connection.pack_command(*command)]
        async with asyncio.timeout(timeout_s):
            await connection.send_packed_command(packed, check_health=False)
            return [await connection.read_response(disable_decoding=True) for _ in commands]

    # --- up and down

    def _up(self) -> None:
        self.up = True
        if self._complained:
            self._complained = False
            self._all_back_at = asyncio.get_running_loop().time() + RETURN_S
            log.info("connected to Redis again")
        self._receiver.came_up()
        self._work.set()

    def _down(self, error: BaseException) -> None:
        was_up, self.up = self.up, False
        if not self._complained:
            self._complained = True
            log.warning(
                "Redis cannot be reached: live events and signals of other processes are late until it can",
                error=str(error) or type(error).__name__,
            )
        flushes, self._flushes = self._flushes, []
        _answer(flushes, False)
        if was_up:
            self._receiver.went_down()


def _answer(flushes: Sequence[asyncio.Future[bool]], sent: bool) -> None:
    for flush in flushes:
        if not flush.done():
            flush.set_result(sent)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            await event.wait()
    except TimeoutError:
        return


def _id(text: bytes) -> tuple[int, int]:
    """A stream entry's id, in a form that can be compared."""
    milliseconds, _, counter = text.partition(b"-")
    return int(milliseconds), int(counter or 0)


def _redis_error() -> type[Exception]:
    from redis.exceptions import RedisError

    return RedisError


def _pool(url: str) -> ConnectionPool:
    """Where connections come from. They know neither time limits (`_exchange` does) nor retries (the link does)."""
    try:
        from redis.asyncio.connection import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("REDIS_URI needs redis-py: pip install 'waystation[redis]'") from error
    try:
        return ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=EXCHANGE_S,
            socket_keepalive=True,
        )
    except ValueError as error:
        raise ConfigError(f"REDIS_URI cannot be read: {error}") from error
