"""What is under way when a connection to the database is lost is tried again, at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError

from tests.chaos.postgres_server import PostgresServer
from tests.databases import database_uri
from waystation.errors import Unavailable
from waystation.storage.checkpoints import Saver
from waystation.storage.postgres import PostgresDatabase

LOCK = " WHERE version_num IN (SELECT version_num FROM alembic_version FOR UPDATE)"

FLUSHED = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"

CONFIG: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(database_uri(tmp_path), readers=1)
    yield database
    await database.close()


def look(conn: Connection) -> Callable[[], None]:
    """A guard that lets everybody write, and waits for the server to say so."""
    assert conn.execute(text("SELECT 1")).scalar() == 1
    return lambda: None


def cut_off(uri: str) -> None:
    """End all connections to the database."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_put_is_tried_again(database: PostgresDatabase, tmp_path: Path) -> None:
    run = Saver(database).for_run(look)
    first = await run.aput(CONFIG, empty_checkpoint(), {"step": 0}, {})
    await run.flush()
    cut_off(database_uri(tmp_path))
    second = await run.aput(first, empty_checkpoint(), {"step": 1}, {})
    await run.flush()
    cut_off(database_uri(tmp_path))
    await run.aput(second, empty_checkpoint(), {"step": 2}, {})
    await run.finish(look)
    assert [found.metadata["step"] async for found in Saver(database).alist(CONFIG)] == [2, 1, 0]


async def test_nothing_is_written_after_a_put_that_failed_for_good(database: PostgresDatabase) -> None:
    def refuse(conn: Connection) -> Callable[[], None]:
        conn.execute(text("SELECT 1 / 0"))
        return lambda: None

    run = Saver(database).for_run(refuse)
    await run.aput(CONFIG, empty_checkpoint(), {"step": 0}, {})
    run.post()
    with pytest.raises(Unavailable):
        await run.finish(look)
    assert await Saver(database).aget_tuple(CONFIG) is None


@pytest.mark.parametrize("reading", [False, True])
async def test_a_process_that_is_stopped_holds_its_locks_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: bool
) -> None:
    """When it goes on it finds its connection closed, and begins anew."""
    monkeypatch.setattr("waystation.storage.postgres.IDLE_TIMEOUT_MS", 300)
    uri, calls = database_uri(tmp_path), 0
    database = PostgresDatabase(uri, readers=1)

    def stop_within(conn: Connection) -> int:
        nonlocal calls
        calls += 1
        found = conn.execute(text("SELECT count(*) FROM alembic_version" + ("" if reading else LOCK))).scalar()
        if calls == 1:
            with psycopg.connect(uri, autocommit=True) as other:  # waits for the lock, if there is one
                other.execute("SELECT version_num FROM alembic_version FOR UPDATE")
                until = (
                    "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
                )
                while other.execute(until).fetchone():
                    time.sleep(0.02)
        conn.execute(text("SELECT 1"))
        return int(found or 0)

    try:
        assert await (database.read(stop_within) if reading else database.write(stop_within)) == 1
        assert calls == 2
    finally:
        await database.close()


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("taken", "repeatable"), [(False, False), (True, False), (True, True)])
async def test_a_crash_while_committing_is_not_taken_for_success(taken: bool, repeatable: bool, alone: bool) -> None:
    """PostgreSQL gives the id of a transaction that it lost to the next one (`taken`), whose fate says nothing. What is
    `repeatable` is done again then."""
    server, crashes = await asyncio.to_thread(PostgresServer), 0

    def add(conn: Connection) -> int:
        nonlocal crashes
        while not conn.execute(text(FLUSHED)).scalar_one():
            pass  # the server, about to write the failed caller's end to disk, would write this transaction along with it
        conn.execute(text("INSERT INTO things VALUES ('mine')"))
        found = conn.execute(text("SELECT count(*) FROM things WHERE name = 'mine'")).scalar_one()
        if crashes == 0:
            crashes += 1
            server.stop("immediate")
            server.start()
            if taken:
                with psycopg.connect(server.uri, autocommit=True) as other:
                    for _ in range(5):
                        other.execute("INSERT INTO things VALUES ('of another process')")
        return int(found)

    def fail(conn: Connection) -> None:
        conn.execute(text("SELECT 1 / 0"))

    try:
        with psycopg.connect(server.uri) as connection:
            connection.execute("CREATE TABLE things (name text)")
        database = PostgresDatabase(server.uri, readers=1)
        if alone:  # a group in which one fails is taken apart
            release = threading.Event()
            blocking = database.post(lambda conn: release.wait())
            failing = database.post(fail)
        adding = database.post_repeatable(add) if repeatable else database.post(add)
        if alone:
            release.set()
            await asyncio.wrap_future(blocking)
            with pytest.raises(DataError):
                await asyncio.wrap_future(failing)
        if taken and not repeatable:
            with pytest.raises(Unavailable, match="not known"):
                await asyncio.wrap_future(adding)
        else:
            assert await asyncio.wrap_future(adding) == 1
        await database.close()
        with psycopg.connect(server.uri) as connection:
            mine = connection.execute("SELECT count(*) FROM things WHERE name = 'mine'").fetchone()
        assert mine == ((0,) if taken and not repeatable else (1,))
    finally:
        await asyncio.to_thread(server.close)
