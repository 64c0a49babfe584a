"""The transport that connects to checked addresses only."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from types import TracebackType

import httpx

from waystation.outgoing.addresses import IpAddress, literal_address
from waystation.outgoing.policy import UrlPolicy, host_of

__all__ = ["CheckedTransport", "Resolve", "resolve"]

Resolve = Callable[[str, int], Awaitable[Sequence[IpAddress]]]
"""The addresses of a host. Raises OSError."""

NEVER = ".invalid"
"""The end of names that no host ever has: name servers need not be asked (RFC 6761)."""

NO_REUSE = httpx.Limits(max_keepalive_connections=0)
"""Connections are kept by IP address: one that was made for a host must not serve another host on the same address."""


async def resolve(host: str, port: int) -> Sequence[IpAddress]:
    """The addresses that the system's resolver knows for `host`. Raises OSError."""
    if host.rstrip(".").endswith(NEVER):
        raise socket.gaierror(socket.EAI_NONAME, "there is no such host")
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return [ip_address(text) for text in texts]


class CheckedTransport(httpx.AsyncBaseTransport):
    """A transport for httpx that refuses what `policy` does not accept, with UrlRefused.

    A name is resolved once for each request, and the connection goes to one of the addresses that were checked: what the name
    server says a moment later makes no difference. Proxies are not used, because they would resolve the name once more.
    """

    def __init__(
        self,
        policy: UrlPolicy,
        *,
        resolve: Resolve = resolve,
        verify: ssl.SSLContext | bool = True,
        limits: httpx.Limits = NO_REUSE,
    ) -> None:
        """With `limits` that keep connections, a transport may be used for one host only."""
        self._policy = policy
        self._resolve = resolve
        self._connections = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = self._policy.check(request.url)
        host = host_of(url)
        failure: httpx.TransportError | None = None
        for address in await self._addresses(request, host):
            try:
                return await self._connections.handle_async_request(_pinned(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                error.request = request
                failure = error
        assert failure is not None
        raise failure

    async def __aenter__(self) -> CheckedTransport:
        await self._connections.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._connections.__aexit__(kind, error, traceback)

    async def aclose(self) -> None:
        await self._connections.aclose()

    async def _addresses(self, request: httpx.Request, host: str) -> Sequence[IpAddress]:
        """All addresses of the host, each of which is acceptable: a name that also leads elsewhere is not trusted at all."""
        literal = literal_address(host)
        if literal is not None:
            found: Sequence[IpAddress] = [literal]
        else:
            try:
                found = await self._resolve(host, request.url.port or (443 if request.url.scheme == "https" else 80))
            except (OSError, UnicodeError) as error:
                raise httpx.ConnectError(f"The host {host!r} cannot be resolved: {error}", request=request) from error
        for address in found:
            self._policy.check_address(address, host)
        if not found:
            raise httpx.ConnectError(f"The host {host!r} has no address", request=request)
        return found


def _pinned(request: httpx.Request, host: str, address: IpAddress) -> httpx.Request:
    """`request` to `address`: the header and the certificate are still those of `host`."""
    text = f"[{address}]" if address.version == 6 else str(address)
    return httpx.Request(
        request.method,
        request.url.copy_with(host=text),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host.removeprefix("[").removesuffix("]")},
    )
