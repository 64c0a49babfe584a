"""The processes of `waystation serve --workers N`: one that serves the API, N that execute runs, and this one, which keeps them.

The listening socket belongs to this process: a port in use is reported at once, and clients that connect while the API
process is being replaced wait instead of failing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from waystation.cli.banner import database_label, show_banner
from waystation.cli.child_process import ChildProcess
from waystation.cli.listening import Listener
from waystation.cli.serving import configuration, set_up_log
from waystation.errors import ConfigError
from waystation.roles import Role, require_shared

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["serve_fleet"]

log = structlog.get_logger("waystation.fleet")

STOP_MARGIN_S = 30
"""Seconds beyond the grace period after which a process that does not stop is killed."""


FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30
"""Seconds before a process is started again: twice as many each time that it has not lived long."""

STABLE_S = 60
"""Having worked for so long, a process that ends is an accident rather than a pattern."""


def serve_fleet(config_path: Path, host: str, port: int, workers: int, settings: Mapping[str, str]) -> None:
    """Serve the project with `workers` processes that execute runs until SIGINT or SIGTERM. Raises ConfigError when the port
    or the configuration is unusable, or when the API process cannot start."""
    listener = Listener(host, port)
    config_path = config_path.absolute()
    config = configuration(config_path, settings)
    require_shared(config, "--workers")
    if config.jobs_per_worker == 0:
        raise ConfigError("--workers with N_JOBS_PER_WORKER=0 would execute no run. Did you mean --api-only?")
    set_up_log(config)
    asyncio.run(_Fleet(config_path, config, listener, workers, {**os.environ, **settings}).run())


class _Fleet:
    def __init__(
        self, config_path: Path, config: Config, listener: Listener, workers: int, environ: Mapping[str, str]
    ) -> None:
        self._config = config
        self._listener = listener
        self._stopping = asyncio.Event()

        def member(name: str, role: Role, served: socket.socket | None) -> _Member:
            return _Member(name, role, str(config_path), served, environ, self._stopping)

        self._api = member("api", "api", listener.open())
        self._workers = [member(f"worker {number}", "worker", None) for number in range(1, workers + 1)]

    async def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        error = await self._api.start()
        if error is not None and not self._stopping.is_set():
            raise ConfigError(error)
        # Only now: whatever keeps the API process from starting would keep the workers from it, and be reported by each.
        keeping = [asyncio.create_task(member.keep()) for member in (self._api, *self._workers)]
        await asyncio.wait([asyncio.create_task(worker.tried.wait()) for worker in self._workers])
        if not self._stopping.is_set():
            url = self._listener.url + self._config.http.mount_prefix
            show_banner(url, self._config.graphs, database_label(self._config), workers=len(self._workers))
        await self._stopping.wait()
        _, stubborn = await asyncio.wait(keeping, timeout=self._config.shutdown_grace_s + STOP_MARGIN_S)
        if stubborn:
            log.warning("killing processes that do not stop", processes=len(stubborn))
            for member in (self._api, *self._workers):
                member.kill()
        await asyncio.gather(*keeping)

    def _stop(self) -> None:
        """On a signal: pass it on. A process that gets a second one stops at once."""
        self._stopping.set()
        self._listener.close()
        for member in (self._api, *self._workers):
            member.terminate()


class _Member:
    """A place in the fleet: a process, and another one when that has ended."""

    def __init__(
        self,
        name: str,
        role: Role,
        config_path: str,
        listener: socket.socket | None,
        environ: Mapping[str, str],
        stopping: asyncio.Event,
    ) -> None:
        self.tried = asyncio.Event()
        """Set once the first process works, or does not."""
        self._name = name
        self._role = role
        self._config_path = config_path
        self._listener = listener
        self._environ = environ
        self._stopping = stopping
        self._process: ChildProcess | None = None
        self._began = 0.0

    async def start(self) -> str | None:
        """Start a process and wait until it works. Why it does not, if so; then it has ended."""
        process = self._process = await ChildProcess.start(
            "waystation.cli.member",
            *(self._role, self._config_path),
            listener=self._listener,
            environ=self._environ,
            apart=True,
        )
        if self._stopping.is_set():
            process.terminate()
        verdict = await process.verdict()
        if verdict.error is None:
            log.info("a process is at work", process=self._name, pid=process.pid)
        else:
            await process.ended()
        self._began = time.monotonic()
        self.tried.set()
        return verdict.error

    async def keep(self) -> None:
        """Have a process at work until the fleet stops and the last one has ended."""
        pause_s = FIRST_PAUSE_S
        if self._process is None and self._stopping.is_set():
            self.tried.set()
            return
        error = None if self._process is not None else await self.start()
        while True:
            if error is None and self._process is not None:
                await self._process.ended()
                error = self._process.last_words
                if time.monotonic() - self._began >= STABLE_S:
                    pause_s = FIRST_PAUSE_S
            if self._stopping.is_set():
                return
            log.error("a process is gone; starting another", process=self._name, reason=error, in_s=pause_s)
            await self._rest(pause_s)
            if self._stopping.is_set():
                return
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
            error = await self.start()

    async def _rest(self, seconds: float) -> None:
        """Wait, unless the fleet stops."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
