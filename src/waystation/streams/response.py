"""A streaming response that notices at once when its client goes away, and does not pretend to be whole when the server does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from waystation.auth.caller import CALLER, Caller
from waystation.encoding import encode
from waystation.http.router import server_app
from waystation.streams.sse import raw_frame

__all__ = ["NO_LONGER_VALID", "StreamResponse"]

RECONNECT = b": the server is stopping; reconnect to go on\r\n\r\n"
"""For an event stream. Only a comment: of a ``retry`` field some clients would make an event without a name."""

NO_LONGER_VALID = "The credentials are no longer valid."

REFUSED = raw_frame("error", encode({"error": "HTTPException", "message": f"401: {NO_LONGER_VALID}"}))

LAST_WORD_S = 1
"""How long sending that may take."""


class StreamResponse(Response):
    """Sends what `body` yields, each piece at once. When the client disconnects, `body` is closed and `on_disconnect` called;
    `resources`, which the body depends on, are closed in any case.

    A body that ends while the server stops may have been cut off. An event stream then ends in good order after a word about it:
    clients ask what became of the run. An answer that was waiting for its JSON must not look complete, because nothing would be
    taken for the result: its last chunk is left out, so that clients see a broken connection and follow its ``Location``.

    So it is with a caller that is no longer let in: an event stream says so and ends, another answer breaks off."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        headers: Mapping[str, str],
        on_disconnect: Callable[[], Awaitable[None]] | None = None,
        resources: ExitStack | None = None,
        refused: bytes = REFUSED,
    ) -> None:
        """`refused` is the last event of a stream to a caller that is no longer let in."""
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._body = body
        self._on_disconnect = on_disconnect
        self._resources = resources
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.current_task()
        assert sending is not None
        gone = refused = False

        async def watch() -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            if not refused:
                gone = True
                sending.cancel()

        async def watch_caller(until_refused: Callable[[], Awaitable[None]]) -> None:
            nonlocal refused
            await until_refused()
            if not gone:
                refused = True
                sending.cancel()

        watchers = [asyncio.create_task(watch())]
        caller: Caller | None = scope.get(CALLER)
        if caller is not None and caller.until_refused is not None:
            watchers.append(asyncio.create_task(watch_caller(caller.until_refused)))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            piece = b""
            async for piece in self._body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if server_app(scope).state.server.stopping:
                if self._is_event_stream():
                    await send({"type": "http.response.body", "body": RECONNECT, "more_body": True})
                elif not piece.strip():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not gone and not refused:
                raise
            sending.uncancel()
            if not gone:
                await self._refuse(send)
        except OSError:  # the server tells of a lost connection by failing to send
            gone = True
        finally:
            for watcher in watchers:
                watcher.cancel()
            close = getattr(self._body, "aclose", None)
            if close is not None:
                await close()
            if self._resources is not None:
                self._resources.close()
        if (gone or refused) and self._on_disconnect is not None:
            await self._on_disconnect()

    async def _refuse(self, send: Send) -> None:
        """The end of an answer to a caller that is no longer let in. One that reads nothing has the connection cut."""
        if not self._is_event_stream():
            return
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await send({"type": "http.response.body", "body": self._refused, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _is_event_stream(self) -> bool:
        return self.headers["content-type"].startswith("text/event-stream")
