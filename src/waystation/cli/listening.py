"""The listening socket. It is opened before anything else, so that a port in use costs no waiting."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from waystation.errors import ConfigError

__all__ = ["Listener", "is_loopback"]

BACKLOG = 2048
"""Connections the kernel keeps until the server accepts them."""


class Listener:
    """A listening socket on `host` and `port` that can be closed and opened again on the same port."""

    def __init__(self, host: str, port: int) -> None:
        """Opens the socket. Raises ConfigError when that cannot be."""
        self.host = host
        self.port = port
        self._socket: socket.socket | None = None
        self.open()

    @property
    def url(self) -> str:
        """Where a client on this machine finds the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def open(self) -> socket.socket:
        """The open socket. Raises ConfigError when the port is in use or the address is not this machine's."""
        if self._socket is None:
            self._socket = _listen(self.host, self.port)
            self.port = self._socket.getsockname()[1]
        return self._socket

    def close(self) -> None:
        """Refuse connections until `open` is called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host}: {error.strerror or error}.") from error
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(_refusal(host, port, error)) from error
    return listener


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use. Stop the program that has it (`lsof -i :{port}` names it), "
            "or choose another port with --port."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is reserved for the system. Choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine. Choose another with --host."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."
