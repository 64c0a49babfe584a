"""The seam between features and a database.

A storage function is plain and synchronous: it takes a SQLAlchemy `Connection` first and does one thing. A `Database` runs
it, on whichever thread and in whichever transaction suits the dialect:

    thread = await db.read(queries.get_thread, thread_id, access)
    await db.write(queries.set_metadata, thread_id, {"a": 1}, access)

Everything one `write` call does is one transaction: it is committed when the call returns, or nothing of it happened and
the function's exception is raised. Functions may be retried after a lost connection, so they have no effects outside the
database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

__all__ = ["Database"]

P = ParamSpec("P")
T = TypeVar("T")


class Database(Protocol):
    """Runs storage functions. Usable from every event loop and thread of the process."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]: ...

    async def read(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` against a consistent snapshot that includes every write acknowledged so far."""
        ...

    async def lookup(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`read` for a function that finds a few rows by their keys. SQLite runs it on the calling thread: for 30 µs of work
        a trip to another thread does not pay."""
        ...

    def write(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run `fn` in a transaction of its own; the awaited result is there once it is committed. Not awaiting it, or being
        cancelled meanwhile, does not take the write back."""
        ...

    def write_few(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """`write` for a function that writes a few rows. SQLite runs it on the calling thread while nobody else writes: for 0.2 ms
        of work a trip to another thread and back does not pay."""
        ...

    def post(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue `fn` like `write` without waiting. Calls posted by one thread are carried out in that order, and before
        any later `write` of that thread."""
        ...

    def post_repeatable(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """`post` for a function that does nothing more when it is run again after it has been committed. That is done when a
        crash of the server leaves open whether it was, where other callers get Unavailable."""
        ...

    def read_blocking(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`read` for code on a plain thread (synchronous graph nodes, start-up). Never call it on an event loop."""
        ...

    def write_blocking(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`write` for code on a plain thread (synchronous graph nodes, start-up). Never call it on an event loop."""
        ...

    def statistics(self) -> dict[str, Any]:
        """Figures for `/metrics`: queue lengths, group sizes, pool use."""
        ...

    async def close(self) -> None:
        """Carry out what is queued, then close all connections."""
        ...
