"""Small writes on SQLite: on the calling thread when that waits for nobody, and otherwise in their turn."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from tests.driver import eventually
from waystation.storage import group_commit
from waystation.storage.sqlite import SqliteDatabase


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "test.db")
    await database.write(lambda conn: conn.execute(text("CREATE TABLE notes (note TEXT UNIQUE)")))
    yield database
    await database.close()


def note(conn: Connection, text_: str) -> int:
    """Write it down; returns the thread that did."""
    conn.execute(text("INSERT INTO notes VALUES (:note)"), {"note": text_})
    return threading.get_ident()


def notes(conn: Connection) -> list[str]:
    return list(conn.execute(text("SELECT note FROM notes ORDER BY rowid")).scalars())


async def test_a_small_write_is_done_here_when_nobody_else_writes(db: SqliteDatabase) -> None:
    assert await db.write_few(note, "a") == threading.get_ident()
    assert await db.write(note, "b") != threading.get_ident()
    assert await db.read(notes) == ["a", "b"]


async def test_it_comes_after_what_its_thread_has_queued(db: SqliteDatabase) -> None:
    go = threading.Event()
    held = db.post(lambda _conn: go.wait(30))
    db.post(note, "first")
    second = db.write_few(note, "second")
    go.set()
    assert await second != threading.get_ident()
    assert held.result()
    assert await db.read(notes) == ["first", "second"]


async def test_another_process_that_writes_does_not_stop_the_event_loop(db: SqliteDatabase) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.ensure_future(db.write_few(note, "late"))
    done, _ = await asyncio.wait([write], timeout=0.2)
    assert not done  # and the loop has gone on meanwhile
    other.execute("ROLLBACK")
    other.close()
    await write
    assert await db.read(notes) == ["late"]


async def test_a_failure_undoes_its_own_work_and_stands_in_nobody_s_way(db: SqliteDatabase) -> None:
    def half(conn: Connection) -> None:
        note(conn, "half")
        raise LookupError("no more")

    with pytest.raises(LookupError):
        await db.write_few(half)
    await db.write_few(note, "whole")
    assert await db.read(notes) == ["whole"]


async def test_slow_writes_are_left_to_the_writer(db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "AVOID_S", 0.2)

    def slow(conn: Connection, text_: str) -> int:
        time.sleep(group_commit.SLOW_S)
        return note(conn, text_)

    here = threading.get_ident()
    assert await db.write_few(slow, "slow") == here
    assert await db.write_few(note, "after") != here

    async def here_again() -> bool:
        return await db.write_few(note, str(time.monotonic_ns())) == here

    await eventually(here_again)


async def test_many_threads_write_at_once(db: SqliteDatabase) -> None:
    def work(name: int) -> None:
        async def all_of_it() -> None:
            for number in range(50):
                await (db.write_few if number % 3 else db.write)(note, f"{name}-{number}")

        asyncio.run(all_of_it())

    await asyncio.gather(*(asyncio.to_thread(work, name) for name in range(6)))
    written = await db.read(notes)
    assert len(written) == 300
    for name in range(6):
        own = [each for each in written if each.startswith(f"{name}-")]
        assert own == [f"{name}-{number}" for number in range(50)]


async def test_the_log_starts_over_when_only_small_writes_are_made(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waystation.storage.sqlite.FOLD_BYTES", 64 * 1024)
    monkeypatch.setattr("waystation.storage.sqlite.FOLD_PAUSE_S", 0.02)
    log = db.path.with_name(db.path.name + "-wal")
    number, size = 0, 3000
    while number < 100 or log.stat().st_size > number * size / 4:
        await db.write_few(note, f"{number} {'x' * size}")
        await asyncio.sleep(0.001)
        number += 1
        assert number < 5000, "the log only grows"


async def test_nothing_is_written_once_it_is_closed(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "test.db")
    await database.close()
    with pytest.raises(Exception, match="closing"):
        await database.write_few(note, "too late")
