"""The lifespan of a custom app, within that of the server.

It runs through the ASGI protocol in a task of its own, as it would under a server of its own: whatever the application has around
its routes takes part in it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from starlette.types import Message

from waystation.custom_app.loading import CustomApp
from waystation.errors import ConfigError

__all__ = ["lifespan_of"]

log = structlog.get_logger("waystation.custom_app")


@asynccontextmanager
async def lifespan_of(custom: CustomApp) -> AsyncIterator[dict[str, Any]]:
    """Enter the lifespan of `custom` and leave it at the end; gives the state that it yields. Raises ConfigError for one that
    does not come up. One that fails at its end is logged: the server stops in any case."""
    life = _Life(custom)
    state = await life.begin()
    try:
        yield state
    finally:
        await life.end()


class _Life:
    def __init__(self, custom: CustomApp) -> None:
        self._custom = custom
        self._state: dict[str, Any] = {}
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> dict[str, Any]:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._to_app.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run(scope), name="waystation-custom-app-lifespan")
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait([self._task, started], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        finally:
            started.cancel()
        if not self._started.is_set():
            error = self._task.exception()
            raise ConfigError(self._describe(error)) from error
        return self._state

    async def end(self) -> None:
        assert self._task is not None
        self._to_app.put_nowait({"type": "lifespan.shutdown"})
        try:
            await self._task
        except Exception as error:
            log.error("the lifespan of the custom app failed at its end", app=self._custom.reference, exc_info=error)

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._custom.app(scope, self._to_app.get, self._receive)

    async def _receive(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._started.set()

    def _describe(self, error: BaseException | None) -> str:
        if error is None:
            return f"http.app: the lifespan of {self._custom.reference} ended before it had begun."
        place = self._custom.culprits.innermost(error)
        where = "" if place is None else f"{place[0]}, line {place[1]}: "
        cause = "".join(traceback.format_exception_only(error)).strip()
        return f"http.app: the lifespan of {self._custom.reference} failed at the start: {where}{cause}"
