"""The supervisor of `waystation dev`: it holds the port, watches the project, and replaces the server process.

A new version gets a process of its own, which loads it beside the one that serves. Only when that went well is the old
process stopped and the new one told to serve. The listening socket belongs to the supervisor, so that connections
made in between wait instead of failing.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer

from waystation.cli.banner import show_banner
from waystation.cli.child_process import ChildProcess
from waystation.cli.control import Verdict
from waystation.cli.listening import Listener
from waystation.errors import ConfigError

__all__ = ["supervise"]

T = TypeVar("T")

STOP_S = 10
"""Seconds after which a server process that does not stop is killed. Above `DEV_GRACE_S` for requests and then for runs."""


def supervise(config_path: Path, host: str, port: int, settings: Mapping[str, str]) -> None:
    """Serve the project until Ctrl-C or SIGTERM, and load it anew when it changes. Raises ConfigError for the port."""
    if not config_path.is_file():
        raise ConfigError(
            f"{config_path} does not exist. Name it with --config, or create a project: waystation new PATH"
        )
    config_path = config_path.parent.resolve() / config_path.name
    listener = Listener(host, port)
    asyncio.run(_Supervisor(config_path, listener, {**os.environ, **settings}).run())


class _Supervisor:
    def __init__(self, config_path: Path, listener: Listener, environ: Mapping[str, str]) -> None:
        self._config_path = config_path
        self._listener = listener
        self._environ = environ
        self._roots = frozenset([config_path.parent])
        self._rewatch = asyncio.Event()
        self._changed = asyncio.Event()
        self._changes: set[str] = set()
        self._stop = asyncio.Event()
        self._serving: ChildProcess | None = None
        self._shown = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        self._changed.set()
        watching = asyncio.create_task(self._watch())
        try:
            while await self._something_to_do():
                await self._update()
        finally:
            watching.cancel()
            if self._serving is not None:
                await self._serving.stop(STOP_S)
            self._listener.close()

    async def _something_to_do(self) -> bool:
        """Wait for a change of the project; False when it is time to stop."""
        while not self._stop.is_set() and not self._changed.is_set():
            events: list[Coroutine[Any, Any, object]] = [self._stop.wait(), self._changed.wait()]
            if self._serving is not None:
                events.append(self._serving.ended())
            await _first(*events)
            if self._serving is not None and self._serving.exit_code is not None and not self._stop.is_set():
                error = self._serving.last_words
                self._serving = None
                self._report("The server is gone", error)
        return not self._stop.is_set()

    async def _update(self) -> None:
        """Put the project as it is now in place of the version that serves, unless it does not load.

        Raises ConfigError when the first version loads and still cannot be served: no change of the project mends that.
        """
        self._changed.clear()
        candidate = await self._candidate()
        verdict = await _unless(candidate.verdict(), self._changed, self._stop)
        if verdict is None:
            await candidate.stop(STOP_S)
            return
        self._watch_for(verdict)
        if verdict.error is not None:
            await candidate.stop(STOP_S)
            self._report("The project does not load", verdict.error)
            return
        if self._serving is not None:
            await self._serving.stop(STOP_S)
        self._serving = candidate
        candidate.go()
        verdict = await _unless(candidate.verdict(), self._stop)
        if verdict is not None:
            await self._settle(verdict, candidate)

    async def _candidate(self) -> ChildProcess:
        config_path, listener = str(self._config_path), self._listener.open()
        return await ChildProcess.start(
            "waystation.cli.child", config_path, listener=listener, environ=self._environ, apart=False
        )

    async def _settle(self, verdict: Verdict, process: ChildProcess) -> None:
        if verdict.error is None:
            self._show(verdict)
        elif self._shown:
            await process.stop(STOP_S)
            self._serving = None
            self._report("The project cannot be served", verdict.error)
        else:
            raise ConfigError(verdict.error)

    def _show(self, verdict: Verdict) -> None:
        if self._shown:
            names = ", ".join(sorted(os.path.relpath(path, self._config_path.parent) for path in self._changes))
            typer.secho(f"Reloaded after a change of {names}", fg="green", err=True)
        else:
            watching = ", ".join(str(root) for root in sorted(self._roots))
            url = self._listener.url + verdict.mount_prefix
            show_banner(url, verdict.graphs, verdict.data_dir, f"on a change below {watching}")
        self._shown = True
        self._changes.clear()

    def _report(self, heading: str, error: str) -> None:
        if self._serving is None:
            self._listener.close()
            outcome = "Nothing is served. Waiting for a change…"
        else:
            outcome = "The last good version keeps serving. Waiting for a change…"
        typer.secho(heading, fg="red", bold=True, err=True)
        typer.echo("".join(f"  {line}\n" for line in error.splitlines()) + f"  {outcome}", err=True)

    def _watch_for(self, verdict: Verdict) -> None:
        roots = verdict.roots(self._config_path.parent)
        if roots != self._roots:
            self._roots = roots
            self._rewatch.set()

    async def _watch(self) -> None:
        from watchfiles import awatch

        from waystation.cli.watching import ProjectFilter

        while True:
            self._rewatch.clear()
            try:
                async for changes in awatch(
                    *self._roots, watch_filter=ProjectFilter(self._config_path), stop_event=self._rewatch
                ):
                    self._changes.update(path for _, path in changes)
                    self._changed.set()
            except OSError as error:
                typer.secho(
                    f"Cannot watch the project for changes: {error}. WATCHFILES_FORCE_POLLING=1 may help.",
                    fg="yellow",
                    err=True,
                )
                return


async def _unless(result: Coroutine[Any, Any, T], *events: asyncio.Event) -> T | None:
    """What `result` gives, or None when one of `events` comes first."""
    task = asyncio.ensure_future(result)
    await _first(task, *(event.wait() for event in events))
    return None if task.cancelled() else task.result()


async def _first(*awaitables: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> None:
    """Wait until one of `awaitables` is done, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
