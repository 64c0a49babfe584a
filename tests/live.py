"""A server on a real socket in a thread of this process: for streams, disconnects and keep-alives, which need a network."""

from __future__ import annotations

import faulthandler
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

__all__ = ["LiveServer", "listening"]

START_S = 20
"""How long a server may take to start on a busy machine."""

STOP_S = 20


@dataclass(frozen=True, slots=True)
class LiveServer:
    """Where a server listens, and the application it serves."""

    url: str
    app: Starlette


@contextmanager
def listening(app: Starlette) -> Iterator[LiveServer]:
    """Serve `app` on a free port of the loopback interface; stop it in good order at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, ws="websockets-sansio", log_config=None, access_log=False, lifespan="on")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="live-server", daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < until, "the server took too long to start"
        time.sleep(0.005)
    try:
        yield LiveServer(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
    finally:
        app.state.server.begin_shutdown()
        server.should_exit = True
        thread.join(STOP_S)
        if thread.is_alive():
            faulthandler.dump_traceback()
            raise AssertionError("the server did not stop; where it is, is on standard error")
