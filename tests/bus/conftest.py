"""Fixtures for tests of the bus across processes: two `RedisBus` are two processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.bus.fleet import Fleet
from tests.bus.redis_server import RedisServer
from waystation.streams.redis_bus import RedisBus

Process = Callable[..., AbstractAsyncContextManager["Member"]]


class Member:
    """A process on the bus, and the signals it got."""

    def __init__(self, bus: RedisBus) -> None:
        self.bus = bus
        self.wakes = 0
        self.jobs = 4
        self.slots = 0
        self.taken_on: list[bytes] = []
        self.stopped: list[str] = []

    def wake(self) -> None:
        self.wakes += 1

    def free(self) -> int:
        return self.slots

    def take_on(self, runs: Sequence[bytes]) -> None:
        self.taken_on += runs

    def stop(self, run_ids: Sequence[str]) -> None:
        self.stopped += run_ids


@pytest.fixture
def key_prefix() -> str:
    return uuid4().hex


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may kill and restart."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture
def fleet(tmp_path: Path, valkey: Any, key_prefix: str) -> Iterator[Fleet]:
    """Servers of one deployment, on PostgreSQL and Valkey."""
    with Fleet(tmp_path, valkey.connection_url, key_prefix) as fleet:
        yield fleet


@pytest.fixture
def process(valkey: Any, key_prefix: str) -> Process:
    """Starts a process on the bus; it executes runs if told so."""

    @asynccontextmanager
    async def begin(
        url: str = valkey.connection_url, *, executes: bool = False, **options: Any
    ) -> AsyncIterator[Member]:
        member = Member(RedisBus(url, key_prefix=key_prefix, **options))
        await member.bus.start(member if executes else None, member.stop)
        try:
            yield member
        finally:
            await member.bus.stop()

    return begin
