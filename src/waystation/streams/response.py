"""A streaming response that notices at once when its client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["StreamResponse"]


class StreamResponse(Response):
    """Sends what `body` yields, each piece at once. When the client disconnects, `body` is closed and `on_disconnect` called;
    `resources`, which the body depends on, are closed in any case."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        headers: Mapping[str, str],
        on_disconnect: Callable[[], Awaitable[None]] | None = None,
        resources: ExitStack | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._body = body
        self._on_disconnect = on_disconnect
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.current_task()
        assert sending is not None
        gone = False

        async def watch() -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            gone = True
            sending.cancel()

        watcher = asyncio.create_task(watch())
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not gone:
                raise
            sending.uncancel()
        except OSError:  # the server tells of a lost connection by failing to send
            gone = True
        finally:
            watcher.cancel()
            close = getattr(self._body, "aclose", None)
            if close is not None:
                await close()
            if self._resources is not None:
                self._resources.close()
        if gone and self._on_disconnect is not None:
            await self._on_disconnect()
