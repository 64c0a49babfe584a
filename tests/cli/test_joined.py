"""Answers in one piece, as a client on a socket sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from waystation.cli.joined import Joining

WITH_BODY: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def written(app: Callable[[Scope, Receive, Send], Awaitable[None]], request: bytes) -> list[bytes]:
    """What the server writes to the connection for `request`, piece by piece, until it closes it or has answered."""
    pieces: list[bytes] = []

    class Recording(Joining):
        def connection_made(self, transport: Any) -> None:
            write = transport.write

            class Transport:
                def write(self, data: bytes) -> None:
                    pieces.append(bytes(data))
                    write(data)

                def __getattr__(self, name: str) -> Any:
                    return getattr(transport, name)

            super().connection_made(Transport())  # type: ignore[arg-type]

    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: Recording(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request)
        await asyncio.wait_for(reader.read(), 10)  # the requests ask for the connection to be closed
        writer.close()
    return pieces


GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def test_head_and_body_leave_together() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_BODY)
        await send(body(b"body"))

    (piece,) = await written(app, GET)
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.endswith(b"\r\n\r\nbody")


async def test_later_parts_of_the_body_are_sent_as_they_come() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_BODY)
        for part in (b"b", b"o", b"dy"):
            await send(body(part, more=True))
        await send(body(b""))

    first, *others = await written(app, GET)
    assert first.endswith(b"\r\n\r\nb")
    assert b"".join(others) == b"ody"


async def test_the_head_of_a_stream_waits_for_nothing() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(body(b"part", more=True))
        await send(body(b""))

    pieces = await written(app, GET)
    assert pieces[0].endswith(b"\r\n\r\n")
    assert pieces[1:] == [b"4\r\npart\r\n", b"0\r\n\r\n"]


async def test_an_answer_without_a_body_is_sent() -> None:
    async def empty(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send(body(b""))

    async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send(body(b""))

    assert b"".join(await written(empty, GET)).startswith(b"HTTP/1.1 204 ")
    assert b"".join(await written(nothing, GET)).startswith(b"HTTP/1.1 200 ")


async def test_head_requests_get_the_head() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_BODY)
        await send(body(b"body"))

    answer = b"".join(await written(app, GET.replace(b"GET", b"HEAD")))
    assert b"content-length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_the_head_is_sent_though_the_body_fails() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_BODY)
        raise RuntimeError("no body")

    (piece,) = await written(app, GET)
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(WITH_BODY)
        await send(body(b"body"))

    request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}"
    first, second = await written(app, request)
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert second.endswith(b"\r\n\r\nbody")
