"""Running an application with uvicorn: start-up errors as exceptions, and a shutdown that lets runs finish."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from waystation.cli.joined import Joining
from waystation.cli.listening import BACKLOG
from waystation.server import Server

__all__ = ["run"]

LEAVE_S = 1
"""Seconds from the end of the shutdown to the end of the process: time for what libraries do at exit."""

REQUESTS_S = 5
"""Seconds that other requests get once those that wait for runs are over: a slow upload, say."""

YOUNG = 10_000
"""New objects after which they are looked through for garbage. With Python's own 700 the objects of every run are, while they are
all in use: a thirtieth of a run's time."""

_IMPATIENT, _FURIOUS = 2, 3
"""Signals after which the process stops at once, or without any order."""


def run(app: Starlette, listener: socket.socket | None, on_serving: Callable[[], None]) -> None:
    """Serve `app` on `listener`, or without one, until SIGINT or SIGTERM; then give runs and requests their grace period. A
    second signal ends that.

    The process has to end after that. `on_serving` is called once the application has started and connections are
    accepted. Raises what the application raises at start-up.
    """
    startup = _Startup(app)
    server: Server = app.state.server
    config = uvicorn.Config(
        startup,
        http=Joining,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # it costs more than it saves on the short messages of a stream
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(server.config.shutdown_grace_s) + REQUESTS_S,
    )
    log = logging.getLogger("uvicorn.error")
    log.setLevel(max(log.getEffectiveLevel(), logging.WARNING))  # what it says of a normal start and stop, we say
    log.addFilter(_not_about_interrupted_streams)
    # What counts once uvicorn no longer takes them: the work is done then, and the exit code is 0 all the same.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        _Uvicorn(config, server, on_serving).run(sockets=[] if listener is None else [listener])
    except SystemExit:
        if startup.error is not None:
            raise startup.error from None
        raise


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, server: Server, on_serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._server = server
        self._on_serving = on_serving
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What is loaded by now stays: spared from every later collection, runs take a third less time. The commands that
            # serve have the collector off until here, which saves some more while a million objects are imported.
            gc.freeze()
            _, *older = gc.get_threshold()
            gc.set_threshold(YOUNG, *older)
            gc.enable()
            self._on_serving()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals >= _FURIOUS:
            os._exit(1)
        if self._signals == _IMPATIENT:
            self._server.hurry()
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Beside uvicorn's own waiting: requests end because their runs do, or because they are cut off when the grace is over.
        draining = asyncio.create_task(self._server.drain())
        await super().shutdown(sockets)
        await draining
        if self.force_exit:  # uvicorn then leaves this out
            await self.lifespan.shutdown()
        # A node that never returns keeps a thread, which Python would wait for. Its run has been handed back.
        last_resort = threading.Timer(LEAVE_S, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()


def _not_about_interrupted_streams(record: logging.LogRecord) -> bool:
    """Answers that a shutdown cuts off are incomplete on purpose (`waystation.streams.response`)."""
    return record.msg != "ASGI callable returned without completing response."


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
