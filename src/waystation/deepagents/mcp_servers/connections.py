"""Connections to MCP servers, which runs share.

They live on an event loop of their own: a connection belongs to one loop, while runs execute on several. Each is held open by a task,
and is closed when nobody has used it for a while.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from waystation.deepagents.mcp_servers.failures import ServerFailed
from waystation.errors import Unavailable
from waystation.own_loop import OwnLoop

if TYPE_CHECKING:
    from mcp import Client

    from waystation.deepagents.mcp_servers.transport import Outgoing

__all__ = ["Connections", "Target", "Timing"]

T = TypeVar("T")

log = structlog.get_logger("waystation.mcp_servers")

LARGEST_EVENT = 16 * 1024 * 1024
"""Bytes of one event of an answer that is a stream."""

CLOSE_S = 2
"""How long connections may take to say goodbye when the process stops."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    connect_s: float = 10
    """To connect, and to agree on a session."""
    list_s: float = 15
    """To list all tools, connecting included. A run waits for it, and goes on without."""
    call_s: float = 120
    idle_s: float = 60
    """Until a connection is closed that nobody uses."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a connection is made to: a server as it was registered at some time, or an address that is not."""

    workspace: str
    url: str
    name: str
    server_id: str | None = None
    version: int = 0
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    @property
    def shared_as(self) -> tuple[str, str, str | None, int]:
        """Targets that agree in this have the same headers, and share a connection."""
        return self.workspace, self.url, self.server_id, self.version


@dataclass(slots=True)
class _Connection:
    """A session that a task holds open."""

    client: Client | None = None
    ready: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    over: bool = False
    """Whether nobody may begin to use it any more."""


class Connections:
    """Opens, shares and closes connections. `run` may be called from any thread; everything else belongs to the loop of it."""

    def __init__(self, outgoing: Callable[[], Outgoing], timing: Timing) -> None:
        """`outgoing` is asked with the first connection: until then no library is imported."""
        self.timing = timing
        self._outgoing = outgoing
        self._loop = OwnLoop("waystation-mcp")
        self._open: dict[Any, _Connection] = {}
        self._holding: set[asyncio.Task[None]] = set()
        self._closing = False

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Carry out `work` where connections may be used. Cancelling the future cancels it. Raises Unavailable without the
        library."""
        if find_spec("mcp") is None:
            work.close()
            raise Unavailable(
                "install what MCP servers need where this server runs, pip install 'waystation[deepagents]': it is not there"
            )
        return self._loop.run(work)

    async def close(self) -> None:
        """Close all connections, and end the loop."""
        self._closing = True
        if self._holding:
            await asyncio.wrap_future(self.run(self._close_all()))
        await asyncio.to_thread(self._loop.close)

    async def call(self, target: Target, what: Callable[[Client], Awaitable[T]], seconds: float) -> T:
        """The result of `what` on a connection to `target`, within `seconds`. Raises ServerFailed."""
        try:
            return await self._once(target, what, seconds)
        except ServerFailed as failure:
            if not failure.session_over:
                raise
        # The server was restarted, say, and has done nothing. A new session begins with the next connection.
        return await self._once(target, what, seconds)

    async def probe(self, target: Target) -> None:
        """Make a new connection to `target`, and close it again. Raises ServerFailed."""
        from waystation.deepagents.mcp_servers.diagnosis import diagnosed

        connection = self._begin(target)
        try:
            with diagnosed(self.timing.connect_s):
                async with asyncio.timeout(self.timing.connect_s):
                    await asyncio.shield(connection.ready)
        finally:
            connection.over = True
            connection.changed.set()

    async def _once(self, target: Target, what: Callable[[Client], Awaitable[T]], seconds: float) -> T:
        from waystation.deepagents.mcp_servers.diagnosis import diagnosed

        with diagnosed(seconds):
            async with asyncio.timeout(seconds), self._client(target) as client:
                return await what(client)

    @asynccontextmanager
    async def _client(self, target: Target) -> AsyncIterator[Client]:
        connection = self._open.get(target.shared_as)
        if connection is None or connection.over:
            connection = self._open[target.shared_as] = self._begin(target)
        connection.users += 1
        try:
            await asyncio.shield(connection.ready)
            assert connection.client is not None
            yield connection.client
        except BaseException:
            connection.over = (
                True  # whatever it was, the next call has a new one; those that are under way on this one go on
            )
            raise
        finally:
            connection.users -= 1
            connection.changed.set()

    def _begin(self, target: Target) -> _Connection:
        connection = _Connection()
        # It outlives the call that it is made for, and is to keep nothing of that.
        task = asyncio.create_task(
            self._hold(connection, target), name=f"waystation-mcp-{target.name}", context=contextvars.Context()
        )
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)
        return connection

    async def _hold(self, connection: _Connection, target: Target) -> None:
        """Open the connection, and keep it open as long as it is of use."""
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        from waystation.deepagents.mcp_servers.diagnosis import diagnosed
        from waystation.deepagents.mcp_servers.transport import http_client

        timing, failure = self.timing, ServerFailed("unreachable", "this server is stopping")
        try:
            http = http_client(
                self._outgoing(), target.headers, connect_s=timing.connect_s, read_s=max(timing.call_s, timing.list_s)
            )
            with diagnosed(timing.connect_s):
                async with http:
                    session = streamable_http_client(target.url, http_client=http, max_sse_event_size=LARGEST_EVENT)
                    async with Client(session, read_timeout_seconds=timing.connect_s, cache=None) as client:
                        connection.client = client
                        connection.ready.set_result(None)
                        await self._until_unused(connection)
        except ServerFailed as error:
            failure = error
            if connection.ready.done():
                log.warning("a connection to an MCP server broke", server=target.name, error=error.message)
        finally:
            connection.over = True
            if not connection.ready.done():
                connection.ready.set_exception(failure)
                connection.ready.exception()  # seen, even if nobody waits any more
            if self._open.get(target.shared_as) is connection:
                del self._open[target.shared_as]

    async def _until_unused(self, connection: _Connection) -> None:
        while True:
            connection.changed.clear()
            if connection.users == 0 and (connection.over or self._closing):
                return
            try:
                async with asyncio.timeout(None if connection.users else self.timing.idle_s):
                    await connection.changed.wait()
            except TimeoutError:
                if connection.users == 0:
                    connection.over = True  # from now on nobody begins to use it
                    return

    async def _close_all(self) -> None:
        for each in self._open.values():
            each.changed.set()
        if self._holding:
            await asyncio.wait(self._holding, timeout=CLOSE_S)
