"""The transport of a client without a URL: requests go to the server that runs the caller, without a network.

The caller usually has another event loop than the server, on another thread: nodes run on loops of their own. An `_Exchange` carries
messages between the two. Answers are streamed, as over a network, and a caller that goes away is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import httpx
import structlog
from starlette.types import Message, Scope

from waystation.loopback.server import Loopback, current_loopback

__all__ = ["LoopbackTransport"]

log = structlog.get_logger("waystation.loopback")

AHEAD = 64
"""Pieces of an answer that the server may be ahead of a caller that reads slowly."""

FAILED: Message = {"type": "failed"}
"""For the caller: there will be nothing more."""


class LoopbackTransport(httpx.AsyncBaseTransport):
    """A transport for httpx as the SDK makes it: whose application it is to call is found when there is a request."""

    def __init__(self, app: Any = None, **_options: Any) -> None:
        """The SDK's arguments are those of httpx's ASGITransport. What they say is known here."""
        self.app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loopback = current_loopback()
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        exchange = _Exchange(loopback, _scope(request), body)
        try:
            start = await exchange.start()
        except BaseException:
            exchange.leave()
            raise
        if start["type"] == FAILED["type"]:
            raise httpx.ReadError("The server did not answer.", request=request)
        return httpx.Response(start["status"], headers=start["headers"], stream=_Answer(exchange, request))


class _Exchange:
    """One request and its answer, between the caller's event loop and that of the server."""

    def __init__(self, loopback: Loopback, scope: Scope, body: bytes) -> None:
        if loopback.loop is None:
            raise httpx.ConnectError("The server is not running.")
        self._loopback = loopback
        self._server_loop = loopback.loop
        self._caller_loop = asyncio.get_running_loop()
        self._scope = scope
        self._body: bytes | None = body
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._room = AHEAD
        # Of the server's loop:
        self._gone = asyncio.Event()
        self._roomy = asyncio.Event()

    async def start(self) -> Message:
        """Send the request; the first message of the answer."""
        try:
            # In a context of its own: a run that the call starts is not to take itself for a part of the caller's.
            self._server_loop.call_soon_threadsafe(self._begin, context=contextvars.Context())
        except RuntimeError as error:
            raise httpx.ConnectError("The server has stopped.") from error
        return await self.next()

    async def next(self) -> Message:
        """The next message of the answer."""
        message = await self._messages.get()
        with contextlib.suppress(RuntimeError):  # the server has stopped, and what it has sent is here
            self._server_loop.call_soon_threadsafe(self._took_one)
        return message

    def leave(self) -> None:
        """The caller wants no more."""
        with contextlib.suppress(RuntimeError):
            self._server_loop.call_soon_threadsafe(self._gone.set)

    # --- on the server's loop

    def _begin(self) -> None:
        self._loopback.enter()
        task = asyncio.create_task(self._run(), name="waystation-loopback")
        self._loopback.under_way.add(task)
        task.add_done_callback(self._loopback.under_way.discard)

    async def _run(self) -> None:
        try:
            await self._loopback(self._scope, self._receive, self._send)
        except OSError:  # the caller is gone
            pass
        except Exception:
            log.exception("a call from within failed", path=self._scope["path"])
        finally:
            with contextlib.suppress(OSError):
                self._tell(FAILED)

    def _took_one(self) -> None:
        self._room += 1
        self._roomy.set()

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        while self._room <= 0 and not self._gone.is_set():
            self._roomy.clear()
            leaving = asyncio.ensure_future(self._gone.wait())
            roomy = asyncio.ensure_future(self._roomy.wait())
            try:
                await asyncio.wait([leaving, roomy], return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                roomy.cancel()
        if self._gone.is_set():
            raise OSError("The caller is gone.")
        self._room -= 1
        self._tell(message)

    def _tell(self, message: Message) -> None:
        try:
            self._caller_loop.call_soon_threadsafe(self._messages.put_nowait, message)
        except RuntimeError as error:
            raise OSError("The caller's event loop is closed.") from error


class _Answer(httpx.AsyncByteStream):
    def __init__(self, exchange: _Exchange, request: httpx.Request) -> None:
        self._exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._exchange.next()
            if message["type"] == FAILED["type"]:
                raise httpx.RemoteProtocolError("The server broke its answer off.", request=self._request)
            if message["type"] != "http.response.body":
                continue
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return

    async def aclose(self) -> None:
        self._exchange.leave()


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": None,
        "root_path": "",
    }
