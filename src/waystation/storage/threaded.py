"""What both databases are made of: a thread that writes, and threads that read."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from waystation.storage.group_commit import GroupCommit

__all__ = ["ThreadedDatabase"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadedDatabase(ABC):
    """The part of a `waystation.storage.database.Database` that does not depend on the dialect.

    A subclass sets `_writer` once it is connected."""

    _writer: GroupCommit

    def __init__(self, readers: int) -> None:
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="waystation-reader")

    async def read(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, lambda conn: fn(conn, *args, **kwargs))

    def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._writer.write(fn, *args, **kwargs)

    def write_few(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        return self._writer.write_few(fn, *args, **kwargs)

    def post(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._writer.post(fn, *args, **kwargs)

    def post_repeatable(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        return self._writer.post_repeatable(fn, *args, **kwargs)

    def read_blocking(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._readers.submit(self._read, lambda conn: fn(conn, *args, **kwargs)).result()

    def write_blocking(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.post(fn, *args, **kwargs).result()

    def statistics(self) -> dict[str, Any]:
        return {"write_queue": self._writer.waiting, "writes": self._writer.calls, "commits": self._writer.groups}

    async def close(self) -> None:
        if self._writer.closed:
            return
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._readers.shutdown)
        await self._disconnect()

    @abstractmethod
    def _read(self, run: Callable[[Connection], T]) -> T:
        """Run a reading function on this thread's own connection, in one snapshot."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close all connections. Nobody reads or writes any more."""
