"""A real MCP server over streamable HTTP, on a socket, that can be made to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ImageContent, TextContent, ToolAnnotations
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RemoteServer"]

START_S = 20

ANY_NAME = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Tests call it by other names than the one of this machine."""

PIXEL = base64.b64encode(b"not really a picture").decode()


class RemoteServer:
    """Runs in a thread. `seen` has the headers of each request, with the method of the protocol as ``rpc``."""

    def __init__(self, token: str | None = None, certificate: ssl.SSLContext | None = None) -> None:
        self.token = token
        self.seen: list[dict[str, str]] = []
        self.connections: set[Any] = set()
        """The ports that requests have come from."""
        self.cut: set[str] = set()
        """Methods of the protocol that get half an answer before the connection ends."""
        self.hang: set[str] = set()
        """Methods that get none."""
        self.answer: dict[str, int] = {}
        """Statuses that methods get."""
        self.before: dict[str, Callable[[], object]] = {}
        """What is waited for before a method is carried out."""
        self.replies: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        """Results that methods have, from their parameters."""
        self.redirect: str | None = None
        """Where all requests are sent instead."""
        self.sleeping = threading.Event()
        """Somebody has called `sleeps`."""
        self.stopped_sleeping = threading.Event()
        self.port = 0
        self.mcp = _tools(self)
        self._certificate = certificate
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self._certificate is None else 'https'}://127.0.0.1:{self.port}/mcp"

    def start(self) -> RemoteServer:
        """Serve, on the same port as before if there was one."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._watched(self.mcp.streamable_http_app(transport_security=ANY_NAME)),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="on",
        )
        config.load()
        config.ssl = self._certificate
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        until = time.monotonic() + START_S
        while not self._server.started:
            assert self._thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Go away without waiting for anything."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(START_S)
            assert not self._thread.is_alive()
        self._server = None
        self.mcp = _tools(self)  # one application can be served once

    def asked(self, rpc: str) -> list[dict[str, str]]:
        """The requests for a method."""
        return [each for each in self.seen if each["rpc"] == rpc]

    def _watched(self, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            body, messages = await _read(receive)
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            rpc = json.loads(body).get("method", "") if body else scope["method"]
            self.connections.add(scope["client"])
            self.seen.append({**headers, "rpc": rpc})
            if rpc in self.before:
                await asyncio.to_thread(self.before[rpc])
            if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
                await _answer(send, 401)
            elif self.redirect is not None:
                await _answer(send, 307, (b"location", self.redirect.encode()))
            elif rpc in self.answer:
                await _answer(send, self.answer[rpc])
            elif rpc in self.replies:
                asked = json.loads(body)
                result = self.replies[rpc](asked.get("params") or {})
                await _send_json(send, {"jsonrpc": "2.0", "id": asked["id"], "result": result})
            elif rpc in self.hang:
                await asyncio.sleep(3600)
            elif rpc in self.cut:
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [(b"content-type", b"application/json"), (b"content-length", b"1000")],
                    }
                )
                await send({"type": "http.response.body", "body": b'{"jsonrpc": "2.0", ', "more_body": True})
            else:
                await app(scope, _replayed(messages, receive), send)

        return watched


async def _read(receive: Receive) -> tuple[bytes, list[Message]]:
    messages: list[Message] = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(each.get("body", b"") for each in messages), messages


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replayed() -> Message:
        return next(waiting, None) or await receive()

    return replayed


async def _send_json(send: Send, value: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *headers]})
    await send({"type": "http.response.body"})


def _tools(server: RemoteServer) -> MCPServer:
    mcp = MCPServer("remote")

    @mcp.tool(annotations=ToolAnnotations(read_only_hint=True))
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @mcp.tool()
    def whoami(ctx: Context) -> str:
        """Tell the token of the call."""
        return (ctx.headers or {}).get("authorization", "nobody")

    @mcp.tool()
    def awkward(config: str, run_manager: str, self: str) -> str:
        """Take arguments whose names mean something to LangChain."""
        return f"{config} {run_manager} {self}"

    @mcp.tool(structured_output=False)
    def picture() -> list[TextContent | ImageContent]:
        """Show something."""
        return [
            TextContent(type="text", text="look"),
            ImageContent(type="image", data=PIXEL, mime_type="image/png"),
        ]

    @mcp.tool()
    def fails() -> str:
        """Fail."""
        raise ToolError("the moon is in the wrong place")

    @mcp.tool()
    async def sleeps() -> str:
        """Take very long."""
        server.sleeping.set()
        try:
            await asyncio.sleep(3600)
        finally:
            server.stopped_sleeping.set()
        return "awake"

    return mcp
