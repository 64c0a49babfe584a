"""The HTTP of connections to MCP servers: over `waystation.outgoing`, with failures that stay with the request that has them.

The `mcp` library speaks through httpx2. An exception of a request would end the whole connection there, with all other calls on it;
so what goes wrong becomes an answer with status 503 or the end of one, and the cause is noted for whoever made the call (`Trace`).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextvars import ContextVar

import httpx
import httpx2
from msgspec import Struct

from waystation.outgoing import CheckedTransport, Resolve, UrlPolicy, UrlRefused

__all__ = ["TRACE", "Outgoing", "Trace", "http_client"]

MOST_BYTES = 16 * 1024 * 1024
"""Of an answer that is one JSON text. Streams are limited event by event, by the library."""


class Trace(Struct):
    """What HTTP has seen of one call."""

    status: int | None = None
    """The last one that a server answered."""
    error: Exception | None = None
    """Why there was no answer, or not all of one."""


TRACE: ContextVar[Trace | None] = ContextVar("waystation.mcp_servers.trace", default=None)
"""That of the call that a request is made for. The library's tasks run in the context of the call."""


class Outgoing(Struct, frozen=True):
    """How servers are reached."""

    urls: UrlPolicy
    resolve: Resolve
    verify: ssl.SSLContext | bool = True


def http_client(
    outgoing: Outgoing, headers: Sequence[tuple[str, str]], *, connect_s: float, read_s: float
) -> httpx2.AsyncClient:
    """A client that sends `headers` with each request, keeps no cookies and takes no proxy from the environment."""
    return httpx2.AsyncClient(
        transport=_Transport(outgoing),
        auth=_Credentials(headers),
        timeout=httpx2.Timeout(read_s, connect=connect_s),
        trust_env=False,
    )


class _Credentials(httpx2.Auth):
    """Adds the headers to a request as it is sent, after the library has logged it and with no part in its defaults."""

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        self._headers = headers

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        for name, value in self._headers:
            request.headers[name] = value
        yield request


class _Transport(httpx2.AsyncBaseTransport):
    """`CheckedTransport` for httpx2."""

    def __init__(self, outgoing: Outgoing) -> None:
        # One client calls one server, so that connections may be kept.
        self._inner = CheckedTransport(
            outgoing.urls, resolve=outgoing.resolve, verify=outgoing.verify, limits=httpx.Limits(keepalive_expiry=30)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # What the library asks for by itself, such as a stream of notifications, is no part of a call.
        trace = (TRACE.get() if request.method == "POST" else None) or Trace()
        try:
            answer = await self._inner.handle_async_request(_outgoing(request))
        except (httpx.HTTPError, UrlRefused) as error:
            trace.error = error
            return httpx2.Response(503)
        trace.status = answer.status_code
        json = answer.headers.get("content-type", "").lower().startswith("application/json")
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_Stream(answer, trace, MOST_BYTES if json else None),
            extensions=_plain(answer.extensions),
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx2.AsyncByteStream):
    """The body of an answer, which ends where the connection does."""

    def __init__(self, answer: httpx.Response, trace: Trace, most_bytes: int | None) -> None:
        self._answer = answer
        self._trace = trace
        self._left = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._answer.stream, httpx.AsyncByteStream)
        try:
            async for part in self._answer.stream:
                if self._left is not None:
                    self._left -= len(part)
                    if self._left < 0:
                        self._trace.error = httpx.DecodingError(f"the answer has more than {MOST_BYTES} bytes")
                        return
                yield part
        except httpx.HTTPError as error:
            self._trace.error = error

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a request of httpx2."""

    def __init__(self, request: httpx2.Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._request.stream, httpx2.AsyncByteStream)
        async for part in self._request.stream:
            yield part


def _outgoing(request: httpx2.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        str(request.url),
        headers=request.headers.raw,
        stream=_Body(request),
        extensions={"timeout": request.extensions["timeout"]} if "timeout" in request.extensions else {},
    )


def _plain(extensions: Mapping[str, object]) -> dict[str, object]:
    """What of an answer's extensions means the same to both libraries."""
    return {name: extensions[name] for name in ("http_version", "reason_phrase") if name in extensions}
