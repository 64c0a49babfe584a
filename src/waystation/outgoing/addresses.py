"""What an IP address leads to, and which texts are IP addresses."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

__all__ = ["IpAddress", "Reach", "literal_address", "reach_of"]

IpAddress = IPv4Address | IPv6Address

Reach = Literal["public", "loopback", "private", "never"]
"""``never``: link-local, multicast and reserved addresses, and the metadata services of clouds."""

_METADATA: frozenset[IpAddress] = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # most clouds
            "169.254.170.2",  # credentials of AWS tasks
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "168.63.129.16",  # Azure
        ),
    )
)

_PRIVATE_4 = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"))
)
_PRIVATE_6 = tuple(map(IPv6Network, ("fc00::/7", "fec0::/10")))

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def reach_of(address: IpAddress) -> Reach:
    """Where a connection to `address` ends. An IPv6 address that stands for an IPv4 address leads where that one does."""
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address))  # without a zone
        if address.is_loopback:
            return "loopback"
        inner = _inner(address)
        if inner is not None:
            return "never" if address in _METADATA else reach_of(inner)
    if address in _METADATA:
        return "never"
    if address.is_loopback:
        return "loopback"
    private: tuple[IPv4Network, ...] | tuple[IPv6Network, ...]
    private = _PRIVATE_4 if isinstance(address, IPv4Address) else _PRIVATE_6
    if any(address in network for network in private):
        return "private"
    return "public" if address.is_global and not address.is_multicast and not address.is_reserved else "never"


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that `address` stands for in one of the ways to write, translate or tunnel it."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in (_NAT64, _COMPATIBLE, _TRANSLATED)):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def literal_address(host: str) -> IpAddress | None:
    """The address that `host` is, in any form that resolvers take: also ``2130706433``, ``0x7f.1`` and ``0177.0.0.1``. None for
    a name."""
    text = host.removeprefix("[").removesuffix("]").rstrip(".")
    try:
        return ip_address(text)
    except ValueError:
        pass
    if not all(_NUMBER.fullmatch(part) for part in text.split(".")):
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None
