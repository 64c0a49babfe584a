"""Which URLs and addresses a server may call for its users (spec 11)."""

from __future__ import annotations

import re

import httpx
from msgspec import Struct

from waystation.errors import UnprocessableInput
from waystation.outgoing.addresses import IpAddress, literal_address, reach_of

__all__ = ["UrlPolicy", "UrlRefused"]

LONGEST_SHOWN = 200
"""Characters of a URL that an error repeats."""

_LOCAL_NAMES = re.compile(r"(.+\.)?(localhost|localdomain|ip6-localhost|ip6-loopback)")
_METADATA_NAMES = re.compile(
    r"(.+\.)?(metadata\.google\.internal|metadata\.goog|instance-data(\.ec2\.internal)?|metadata)"
)
_INTERNAL_NAMES = re.compile(
    r"kubernetes(\.default)?|.+\.(internal|local|svc|cluster\.local|lan|intranet|corp|home\.arpa)"
)
_DOUBTFUL = re.compile(r"[\x00-\x20\x7f\\]")
"""Characters that one reader of a URL passes over and another one does not."""


class UrlRefused(UnprocessableInput):
    """The URL leads to where this server does not go."""


class UrlPolicy(Struct, frozen=True):
    """What is acceptable. The default is for a server that many may use: https or http, to public addresses only."""

    allow_loopback: bool = False
    allow_private: bool = False
    """Private networks, and the names that clusters give their services."""
    require_https: bool = False
    allowed_domains: tuple[str, ...] | None = None
    """In lower case; ``*.example.com`` allows subdomains only. None for any."""
    allowed_ports: tuple[int, ...] | None = None
    max_length: int = 4096

    def check(self, url: str | httpx.URL) -> httpx.URL:
        """`url` as it will be called, if everything that can be said of it without asking a name server is acceptable.

        It is read by the client that will call it, so that both understand the same. Raises UrlRefused."""
        text = str(url)
        shown = repr(text[:LONGEST_SHOWN])
        if not text or len(text) > self.max_length:
            raise UrlRefused(f"Invalid URL {shown}: it must have 1 to {self.max_length} characters.")
        if _DOUBTFUL.search(text):
            raise UrlRefused(f"Invalid URL {shown}: it contains spaces, control characters or backslashes.")
        try:
            parsed = httpx.URL(url)
            port = parsed.port or {"https": 443, "http": 80}.get(parsed.scheme)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise UrlRefused(f"Invalid URL {shown}: {error}.") from None
        host = host_of(parsed)
        if parsed.scheme not in ("http", "https") or not host:
            raise UrlRefused(f"Invalid URL {shown}: it must begin with https:// or http:// and name a host.")
        if parsed.userinfo:
            raise UrlRefused("Invalid URL: it must not contain a user name or password.")
        if port is None or not 0 < port < 65536:
            raise UrlRefused(f"Invalid URL {shown}: its port is not between 1 and 65535.")
        if self.require_https and parsed.scheme != "https":
            raise UrlRefused(f"The URL {shown} is not acceptable: it must begin with https://.")
        if self.allowed_ports is not None and port not in self.allowed_ports:
            raise UrlRefused(f"The URL {shown} is not acceptable: its port is not one of the allowed ones.")
        if self.allowed_domains is not None and not any(_matches(host, each) for each in self.allowed_domains):
            raise UrlRefused(f"The URL {shown} is not acceptable: its domain is not one of the allowed ones.")
        self._check_host(host)
        return parsed

    def check_address(self, address: IpAddress, host: str) -> None:
        """Raise UrlRefused unless `address`, which `host` stands for, may be connected to. The error does not tell the address
        of a name: that would answer questions about the network."""
        reach = reach_of(address)
        allowed = {"public": True, "loopback": self.allow_loopback, "private": self.allow_private, "never": False}
        if not allowed[reach]:
            what = {"loopback": "this machine", "private": "a private network", "never": "a reserved address"}[reach]
            raise UrlRefused(f"The host {host!r} is not acceptable: it leads to {what}.")

    def _check_host(self, host: str) -> None:
        literal = literal_address(host)
        if literal is not None:
            self.check_address(literal, host)
            return
        if _METADATA_NAMES.fullmatch(host):
            raise UrlRefused(f"The host {host!r} is not acceptable: it is the metadata service of a cloud.")
        if _LOCAL_NAMES.fullmatch(host) and not self.allow_loopback:
            raise UrlRefused(f"The host {host!r} is not acceptable: it leads to this machine.")
        if _INTERNAL_NAMES.fullmatch(host) and not self.allow_private:
            raise UrlRefused(f"The host {host!r} is not acceptable: it leads to a private network.")


def host_of(url: httpx.URL) -> str:
    """The host as it is looked up: in ASCII and lower case, without a final dot."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


def _matches(host: str, domain: str) -> bool:
    if domain.startswith("*."):
        return host.endswith(domain[1:]) and len(host) > len(domain) - 1
    return host == domain.rstrip(".")
