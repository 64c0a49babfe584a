"""Groups of writers on PostgreSQL: nobody loses anything by another's error, a lost connection, or a locked row."""

from __future__ import annotations

import asyncio
import threading
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from waystation.auth.access import EVERYTHING
from waystation.errors import ConfigError, Conflict, UnprocessableInput
from waystation.storage.driver import Sql
from waystation.storage.postgres import PostgresDatabase
from waystation.threads import queries

INSERT = Sql("INSERT INTO checkpoint_threads (thread_id) VALUES (?)")
COUNT = Sql("SELECT count(*) FROM checkpoint_threads")
TOUCH = Sql("UPDATE checkpoint_threads SET thread_id = thread_id WHERE thread_id = ?")


def insert(conn: Connection, name: str) -> str:
    INSERT.run(conn, name)
    return name


def count(conn: Connection) -> int:
    row = COUNT.row(conn)
    assert row is not None
    return int(row[0])


def refuse(conn: Connection, name: str) -> None:
    INSERT.run(conn, name)
    raise Conflict(f"no {name}")


def hold_writer(database: PostgresDatabase) -> threading.Event:
    """Keep the writer busy until the event is set, so that what is posted meanwhile becomes one group."""
    go = threading.Event()
    database.post(lambda _conn: go.wait(20) and None)
    return go


async def test_a_group_is_committed_together(postgres: PostgresDatabase) -> None:
    go = hold_writer(postgres)
    writes = [postgres.write(insert, f"t{n}") for n in range(20)]
    go.set()
    assert await asyncio.gather(*writes) == [f"t{n}" for n in range(20)]
    assert await postgres.read(count) == 20
    assert postgres.statistics()["commits"] <= 3


async def test_a_caller_that_raises_loses_only_its_own_work(postgres: PostgresDatabase) -> None:
    go = hold_writer(postgres)
    before, wrong, after = postgres.write(insert, "a"), postgres.write(refuse, "b"), postgres.write(insert, "c")
    go.set()
    assert await before == "a"
    with pytest.raises(Conflict, match="no b"):
        await wrong
    assert await after == "c"
    assert await postgres.read(count) == 2


async def test_a_statement_that_the_database_refuses_is_its_callers_error(postgres: PostgresDatabase) -> None:
    go = hold_writer(postgres)
    writes = [postgres.write(insert, name) for name in ("a", "b", "a", "c")]
    broken = postgres.write(lambda conn: conn.execute(text("SELECT 1 / 0")) and None)
    go.set()
    results = await asyncio.gather(*writes, broken, return_exceptions=True)
    assert [results[0], results[1], results[3]] == ["a", "b", "c"]
    assert "duplicate key" in str(results[2])
    assert isinstance(results[4], DBAPIError)
    assert "division by zero" in str(results[4])
    assert await postgres.read(count) == 3


async def test_a_function_may_catch_what_sqlalchemy_raises_and_report_it(postgres: PostgresDatabase) -> None:
    def careful(conn: Connection) -> None:
        try:
            conn.execute(text("INSERT INTO checkpoint_threads (thread_id) VALUES ('a')"))
        except IntegrityError as error:
            raise Conflict("there already") from error

    await postgres.write(insert, "a")
    go = hold_writer(postgres)
    caught, innocent = postgres.write(careful), postgres.write(insert, "b")
    go.set()
    with pytest.raises(Conflict, match="there already"):
        await caught
    assert await innocent == "b"


@pytest.mark.parametrize("reading", [False, True])
async def test_a_lost_connection_is_made_anew(
    postgres: PostgresDatabase, other: PostgresDatabase, *, reading: bool
) -> None:
    await postgres.write(insert, "a")
    await postgres.read(count)
    await other.write(_end_connections)
    if reading:
        assert await postgres.read(count) == 1
    else:
        go = hold_writer(postgres)
        writes = [postgres.write(insert, f"t{n}") for n in range(5)]
        go.set()
        assert await asyncio.gather(*writes) == [f"t{n}" for n in range(5)]
        assert await other.read(count) == 6


async def test_a_connection_lost_in_the_middle_of_a_group_loses_and_repeats_nothing(
    postgres: PostgresDatabase, other: PostgresDatabase
) -> None:
    times = 0

    def cut(conn: Connection) -> None:
        nonlocal times
        times += 1
        if times == 1:
            other.write_blocking(_end_connections)
        INSERT.run(conn, "cut")

    go = hold_writer(postgres)
    writes = [postgres.write(insert, "before"), postgres.write(cut), postgres.write(insert, "after")]
    go.set()
    await asyncio.gather(*writes)
    assert times > 1
    assert await other.read(count) == 3


async def test_a_commit_whose_answer_was_lost_is_not_repeated(
    postgres: PostgresDatabase, other: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has committed, and the connection breaks before it says so."""
    attempt = PostgresDatabase._attempt

    def broken(self: PostgresDatabase, *arguments: object) -> None:
        attempt(self, *arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        other.write_blocking(_end_connections)
        self._writing.execute(text("SELECT 1"))  # type: ignore[union-attr]

    monkeypatch.setattr(PostgresDatabase, "_attempt", broken)
    assert await postgres.write(insert, "once") == "once"
    assert await other.read(count) == 1


async def test_a_locked_row_holds_up_only_who_needs_it(postgres: PostgresDatabase, other: PostgresDatabase) -> None:
    await postgres.write(insert, "locked")
    release, locked = threading.Event(), threading.Event()

    def lock(conn: Connection) -> None:
        TOUCH.run(conn, "locked")
        COUNT.row(conn)
        locked.set()
        release.wait(20)

    holding = other.write(lock)
    await asyncio.to_thread(locked.wait, 20)
    blocked, free = postgres.write(lambda conn: TOUCH.run(conn, "locked")), postgres.write(insert, "free")
    await asyncio.sleep(0.3)
    release.set()
    await asyncio.gather(holding, blocked)
    assert await free == "free"


async def test_two_groups_that_want_each_others_rows_both_succeed(
    postgres: PostgresDatabase, other: PostgresDatabase
) -> None:
    for name in ("a", "b"):
        await postgres.write(insert, name)

    def touch(conn: Connection, *names: str) -> None:
        for name in names:
            TOUCH.run(conn, name)
            COUNT.row(conn)

    for _ in range(3):
        await asyncio.gather(
            *(postgres.write(touch, "a", "b") for _ in range(3)), *(other.write(touch, "b", "a") for _ in range(3))
        )


async def test_creating_the_same_thread_twice_at_once_is_a_conflict_for_one(
    postgres: PostgresDatabase, other: PostgresDatabase
) -> None:
    for _ in range(10):
        row = queries.new_row(str(uuid4()), {}, None, 1)
        results = await asyncio.gather(
            *(database.write(queries.create, row, "raise", EVERYTHING) for database in (postgres, other)),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]


async def test_a_read_is_one_snapshot(postgres: PostgresDatabase, other: PostgresDatabase) -> None:
    def twice(conn: Connection) -> tuple[int, int]:
        before = count(conn)
        other.write_blocking(insert, "meanwhile")
        return before, count(conn)

    assert await postgres.read(twice) == (0, 0)
    assert await postgres.read(count) == 1


async def test_what_was_posted_is_carried_out_in_order(postgres: PostgresDatabase) -> None:
    await postgres.write(insert, "a")
    seen: list[int] = []

    def see(_conn: Connection, n: int) -> None:
        seen.append(n)

    for n in range(50):
        postgres.post(see, n)
    await postgres.write(lambda _conn: None)
    assert seen == sorted(seen)


async def test_what_cannot_be_stored_is_the_senders_fault(postgres: PostgresDatabase) -> None:
    name = "nul \0"
    with pytest.raises(UnprocessableInput):
        await postgres.write(insert, name)
    with pytest.raises(UnprocessableInput):
        await postgres.read(Sql("SELECT 1 FROM checkpoint_threads WHERE thread_id = ?").rows, name)
    assert await postgres.write(insert, "fine") == "fine"


def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot connect to PostgreSQL .*127\.0\.0\.1:1.*refused"):
        PostgresDatabase("postgresql://somebody:secret@127.0.0.1:1/nothing")
    with pytest.raises(ConfigError) as refused:
        PostgresDatabase("postgresql://somebody:secret@127.0.0.1:1/nothing")
    assert "secret" not in str(refused.value)
    with pytest.raises(ConfigError, match="must begin with postgresql://"):
        PostgresDatabase("mysql://localhost/x")


def _end_connections(conn: Connection) -> None:
    """End everybody else's connections to the database, as a restart of the server would."""
    conn.execute(
        text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )
