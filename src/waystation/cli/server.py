"""Serving an application with uvicorn: start-up errors as exceptions, open streams ended at shutdown."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from waystation.cli.listening import BACKLOG

__all__ = ["run"]

LEAVE_S = 1
"""Seconds from the end of the shutdown to the end of the process: time for what libraries do at exit."""


def run(app: Starlette, listener: socket.socket, grace_s: float, on_serving: Callable[[], None]) -> None:
    """Serve `app` on `listener` until SIGINT or SIGTERM, then give open requests `grace_s` seconds to finish.

    The process has to end after that. `on_serving` is called once the application has started and connections are
    accepted. Raises what the application raises at start-up.
    """
    startup = _Startup(app)
    config = uvicorn.Config(
        startup,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    log = logging.getLogger("uvicorn.error")
    log.setLevel(max(log.getEffectiveLevel(), logging.WARNING))  # what it says of a normal start and stop, we say
    # uvicorn stops on these and then raises them once more: by then the work is done, and the exit code is 0.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        _Server(config, app, on_serving).run(sockets=[listener])
    except SystemExit:
        if startup.error is not None:
            raise startup.error from None
        raise


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: Starlette, on_serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._on_serving = on_serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What is loaded by now stays: spared from every later collection, runs take a third less time. The commands that
            # serve have the collector off until here, which saves some more while a million objects are imported.
            gc.freeze()
            gc.enable()
            self._on_serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.server.begin_shutdown()
        await super().shutdown(sockets)
        # A node that never returns keeps a thread, which Python would wait for. Its run has been handed back.
        last_resort = threading.Timer(LEAVE_S, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()


class _Startup:
    """The application, with its error at start-up kept for the caller rather than logged as text."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_without_traceback(message: Message) -> None:
            failed = message["type"] == "lifespan.startup.failed"
            await send({"type": message["type"]} if failed else message)

        try:
            await self.app(scope, receive, send_without_traceback)
        except BaseException as error:
            self.error = error
            raise
