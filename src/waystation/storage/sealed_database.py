"""A database whose contents are encrypted: every storage function runs with the seals of the server in place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy import Connection

from waystation.storage.database import Database
from waystation.storage.sealing import Seals, current_context, in_place

__all__ = ["SealedDatabase"]

P = ParamSpec("P")
T = TypeVar("T")

Function = Callable[Concatenate[Connection, P], T]


class SealedDatabase:
    """A `Database` on another one. The encryption context is that of the caller, who may be on another thread than the function."""

    def __init__(self, db: Database, seals: Seals) -> None:
        self._db = db
        self._seals = seals

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._db.dialect

    async def read(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._db.read(self._sealing(fn), *args, **kwargs)

    async def lookup(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        run = self._db.read if self._seals.waits else self._db.lookup
        return await run(self._sealing(fn), *args, **kwargs)

    def write(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._db.write(self._sealing(fn), *args, **kwargs)

    def write_few(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        run = self._db.write if self._seals.waits else self._db.write_few
        return run(self._sealing(fn), *args, **kwargs)

    def post(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._db.post(self._sealing(fn), *args, **kwargs)

    def post_repeatable(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._db.post_repeatable(self._sealing(fn), *args, **kwargs)

    def read_blocking(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._db.read_blocking(self._sealing(fn), *args, **kwargs)

    def write_blocking(self, fn: Function[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._db.write_blocking(self._sealing(fn), *args, **kwargs)

    def statistics(self) -> dict[str, Any]:
        return self._db.statistics()

    async def close(self) -> None:
        await self._db.close()
        self._seals.close()

    def _sealing(self, fn: Function[P, T]) -> Function[P, T]:
        context = current_context()

        def run(conn: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
            with in_place(self._seals, context):
                return fn(conn, *args, **kwargs)

        return run
