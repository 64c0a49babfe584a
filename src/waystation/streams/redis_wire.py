"""A connection to Redis without the layers of redis-py's client: commands go out at once, and replies come to callbacks.

redis-py makes the connection and logs in, whatever the URL asks for. From then on its transport feeds hiredis directly: a message from one
process to another takes half the time then, and less than half of the work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from waystation.errors import ConfigError
from waystation.futures import tell

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection, ConnectionPool

__all__ = ["Command", "RedisWire", "opened_wire", "pool_for"]

EXCHANGE_S = 5
"""How long Redis may take to answer."""

Command = tuple[str | bytes | int, ...]

_INCOMPLETE = object()


class _Question(Struct):
    """Commands that were sent, and the replies to them so far."""

    count: int
    answered: Callable[[list[Any]], None]
    timer: asyncio.TimerHandle
    replies: list[Any] = []


class RedisWire(asyncio.Protocol):
    """For one event loop. The first error ends it; `lost` has that error then."""

    def __init__(self, connection: AbstractConnection) -> None:
        """Takes over what an open `connection` sends and receives; closing that is left to its owner."""
        import hiredis
        from redis.exceptions import InvalidResponse, ResponseError

        self._loop = asyncio.get_running_loop()
        self._pack: Callable[[Any], bytes] = hiredis.pack_command
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, notEnoughData=_INCOMPLETE
        )
        self._questions: deque[_Question] = deque()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        writer = connection._writer
        assert writer is not None
        self._transport: asyncio.WriteTransport = writer.transport
        self._transport.set_protocol(self)

    def ask(self, commands: Sequence[Command], answered: Callable[[list[Any]], None], block_s: float = 0) -> None:
        """Send commands together. `answered` gets their replies on the event loop, or nothing when the connection is lost first.
        `block_s` is for how long the commands want Redis to wait."""
        if self.lost.done():
            return
        timer = self._loop.call_later(block_s + EXCHANGE_S, self._late)
        self._questions.append(_Question(len(commands), answered, timer))
        self._transport.write(b"".join(map(self._pack, commands)))

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """`ask`, and wait for the replies. Raises what the connection was lost by."""
        done: asyncio.Future[list[Any]] = self._loop.create_future()
        self.ask(commands, partial(tell, done, error=None))
        await asyncio.wait((done, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            self.lost.result()
        return done.result()

    def close(self) -> None:
        """End it without a word."""
        self._fail(ConnectionError("closed"))
        self.lost.exception()  # nobody has to ask for it

    # --- asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._take(reply)
        except Exception as error:  # noqa: BLE001 - handed to whoever looks after the connection
            self._fail(error)

    def eof_received(self) -> None:
        self._fail(ConnectionError("Redis has closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the connection was closed"))

    def _late(self) -> None:
        self._fail(TimeoutError("Redis does not answer"))

    def _take(self, reply: Any) -> None:
        if isinstance(reply, Exception):
            raise reply
        question = self._questions[0]
        question.replies.append(reply)
        if len(question.replies) == question.count:
            self._questions.popleft()
            question.timer.cancel()
            question.answered(question.replies)

    def _fail(self, error: BaseException) -> None:
        if self.lost.done():
            return
        self.lost.set_exception(error)
        for question in self._questions:
            question.timer.cancel()
        self._questions.clear()
        self._transport.abort()


def pool_for(url: str) -> ConnectionPool:
    """Where connections come from. They know neither time limits (a wire does) nor retries (whoever uses it does).

    Raises ConfigError for a URL that cannot be read, or when redis-py or hiredis is not installed."""
    try:
        import hiredis  # noqa: F401
        from redis.asyncio.connection import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("REDIS_URI needs redis-py and hiredis: pip install 'waystation[redis]'") from error
    # Of a socket on this machine the other end cannot vanish, and redis-py refuses to be asked for it.
    options = {} if url.startswith("unix://") else {"socket_keepalive": True}
    try:
        return ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=EXCHANGE_S,
            **options,
        )
    except ValueError as error:
        raise ConfigError(f"REDIS_URI cannot be read: {error}") from error


@asynccontextmanager
async def opened_wire(pool: ConnectionPool) -> AsyncIterator[RedisWire]:
    """A connection of its own, for as long as the context is open. Raises OSError or redis-py's RedisError."""
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
    async with asyncio.timeout(EXCHANGE_S):
        await connection.connect()  # type: ignore[no-untyped-call]
    wire = RedisWire(connection)
    try:
        yield wire
    finally:
        wire.close()
        await connection.disconnect(nowait=True)
