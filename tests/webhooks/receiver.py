"""A real HTTP server that takes webhooks."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Call", "Receiver", "receiving"]

Answer = int | tuple[int, Mapping[str, str]]


@dataclass(frozen=True)
class Call:
    """A request that the receiver got."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Receiver:
    """Answers 200, or what `answers` says for its first requests; `answer_to` decides by path."""

    def __init__(self, answers: list[Answer], port: int = 0) -> None:
        self.calls: list[Call] = []
        self.answers = answers
        self.scheme = "http"
        self.answer_to: Callable[[Call], Answer | None] = lambda call: None
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """No noise."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}"

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        call = Call(handler.command, handler.path, headers, raw)
        self.calls.append(call)
        self.hold.wait(30)
        answer = self.answer_to(call)
        if answer is None:
            answer = self.answers.pop(0) if self.answers else 200
        status, extra = answer if isinstance(answer, tuple) else (answer, {})
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **extra}.items():
            handler.send_header(name, value)
        handler.end_headers()


@contextmanager
def receiving(*answers: Answer, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that listens, with `tls` for https."""
    receiver = Receiver(list(answers), port)
    if tls is not None:
        receiver.scheme = "https"
        receiver.server.socket = tls.wrap_socket(receiver.server.socket, server_side=True)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
