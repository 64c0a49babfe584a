"""Statements that go to PostgreSQL through libpq: what they take and give back, and what becomes of errors between them."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from waystation.errors import UnprocessableInput
from waystation.storage.driver import InsertSql, Sql
from waystation.storage.postgres import PostgresDatabase
from waystation.storage.wire import wire_of

INSERT = Sql("INSERT INTO checkpoint_threads (thread_id) VALUES (?)")
COUNT = Sql("SELECT count(*) FROM checkpoint_threads")
FAIL = Sql("SELECT 1 / ?::int")
ONE = Sql("SELECT 1")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "näht \U0001f600 'quoted' \\ {}"),
        ("text", ""),
        ("bigint", -(2**63)),
        ("bigint", 2**63 - 1),
        ("int", 7),
        ("smallint", -7),
        ("boolean", True),
        ("boolean", False),
        ("bytea", b""),
        ("bytea", bytes(range(256)) * 1000),
        ("float8", 0.1),
        ("float8", float("inf")),
        *((kind, None) for kind in ("text", "bigint", "bytea", "boolean", "jsonb")),
    ],
)
async def test_values_come_back_as_they_were_sent(postgres: PostgresDatabase, kind: str, value: object) -> None:
    echo = Sql(f"SELECT ?::{kind}, pg_typeof(?::{kind})::text")
    (found,) = await postgres.read(echo.rows, value, value)
    assert (found[0], type(found[0])) == (value, type(value))


async def test_results_are_what_psycopg_makes_of_them(postgres: PostgresDatabase) -> None:
    query = "SELECT '{\"a\": [1, null]}'::jsonb, sum(n), avg(n), array_agg(n) FROM generate_series(1, 3) AS n"
    expected = ({"a": [1, None]}, 6, Decimal(2), [1, 2, 3])
    assert await postgres.read(Sql(query).row) == expected
    assert tuple(await postgres.read(lambda conn: conn.execute(text(query)).one())) == expected


class Name(str):
    """A string by another name."""


async def test_a_kind_of_string_is_a_string_and_anything_else_is_refused(postgres: PostgresDatabase) -> None:
    echo = Sql("SELECT ?::text")
    assert await postgres.read(echo.row, Name("a")) == ("a",)
    with pytest.raises(psycopg.ProgrammingError, match="dict"):
        await postgres.read(echo.row, {})
    with pytest.raises(UnprocessableInput):
        await postgres.read(echo.row, Name("\0"))
    assert await postgres.read(echo.row, "b") == ("b",)


async def test_answers_can_be_fetched_in_any_order(postgres: PostgresDatabase) -> None:
    def several(conn: Connection) -> list[Any]:
        asked = [Sql("SELECT ?::int").ask(conn, n) for n in range(5)]
        INSERT.run(conn, "between")
        asked.append(COUNT.ask(conn))
        return [asked[n].first() for n in (3, 5, 0, 4, 1)]

    assert await postgres.write(several) == [(3,), (1,), (0,), (4,), (1,)]


async def test_more_can_be_sent_than_sockets_hold(postgres: PostgresDatabase) -> None:
    """Both sides have much to say before either has been heard."""
    echo = Sql("SELECT ?::bytea")

    def much(conn: Connection) -> list[bytes]:
        asked = [echo.ask(conn, bytes([n]) * 1_000_000) for n in range(30)]
        return [each.first()[0] for each in asked]  # type: ignore[index]

    assert [(len(found), found[0]) for found in await postgres.write(much)] == [(1_000_000, n) for n in range(30)]


async def test_statements_of_sqlalchemy_come_in_between(postgres: PostgresDatabase) -> None:
    def mixed(conn: Connection) -> list[int]:
        counts = []
        for name in ("a", "b"):
            INSERT.run(conn, name)
            counts.append(conn.execute(text("SELECT count(*) FROM checkpoint_threads")).scalar_one())
            conn.execute(
                text("INSERT INTO checkpoint_threads (thread_id) VALUES (:id)"),
                [{"id": name + "1"}, {"id": name + "2"}],
            )
            counts.append(COUNT.row(conn)[0])  # type: ignore[index]
        return counts

    assert await postgres.write(mixed) == [1, 3, 4, 6]


async def test_the_first_error_is_raised_whatever_is_asked_for_next(postgres: PostgresDatabase) -> None:
    def fail(conn: Connection) -> None:
        FAIL.run(conn, 0)
        INSERT.run(conn, None)
        with pytest.raises(psycopg.errors.DivisionByZero):
            COUNT.row(conn)
        with pytest.raises(psycopg.errors.DivisionByZero):
            INSERT.run(conn, "a")
        with pytest.raises(DBAPIError, match="division by zero"):
            conn.execute(text("SELECT 1"))

    with pytest.raises(psycopg.errors.Error):
        await postgres.write(fail)
    assert await postgres.read(COUNT.row) == (0,)


async def test_an_error_that_nobody_asked_about_fails_the_transaction(postgres: PostgresDatabase) -> None:
    def fail(conn: Connection) -> None:
        INSERT.run(conn, "a")
        FAIL.run(conn, 0)

    with pytest.raises(psycopg.errors.DivisionByZero):
        await postgres.write(fail)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await postgres.read(FAIL.run, 0)
    assert await postgres.read(COUNT.row) == (0,)


async def test_a_function_that_hides_an_error_commits_nothing(postgres: PostgresDatabase) -> None:
    def hide(conn: Connection) -> None:
        INSERT.run(conn, "a")
        with pytest.raises(DBAPIError):
            conn.execute(text("SELECT 1 / 0"))

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await postgres.write(hide)
    assert await postgres.read(COUNT.row) == (0,)


async def test_a_statement_that_could_not_be_prepared_is_prepared_later(postgres: PostgresDatabase) -> None:
    late = Sql("SELECT n FROM late")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            await postgres.write(late.rows)
    await postgres.write(lambda conn: conn.execute(text("CREATE TABLE late (n int)")) and None)
    assert await postgres.write(late.rows) == []


async def test_a_statement_is_prepared_anew_for_a_table_that_has_changed(postgres: PostgresDatabase) -> None:
    everything = Sql("SELECT * FROM changing")

    def execute(conn: Connection, statement: str) -> None:
        conn.execute(text(statement))

    await postgres.write(execute, "CREATE TABLE changing (a int)")
    await postgres.write(execute, "INSERT INTO changing VALUES (1)")
    assert await postgres.write(everything.rows) == [(1,)]
    await postgres.write(execute, "ALTER TABLE changing ADD COLUMN b text")
    assert await postgres.write(everything.rows) == [(1, None)]
    await postgres.write(execute, "DEALLOCATE ALL")
    assert await postgres.write(everything.rows) == [(1, None)]


async def test_statements_beyond_what_is_kept_prepared_are_executed_all_the_same(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waystation.storage.wire.PREPARED", 5)

    def many(conn: Connection) -> list[Any]:
        return [Sql(f"SELECT ?::int + {n}").row(conn, 1) for n in range(20)]

    for _ in range(2):
        assert await postgres.write(many) == [(n + 1,) for n in range(20)]
    prepared = Sql("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'ws%'")
    assert (await postgres.write(prepared.row)) == (5,)


async def test_many_rows_are_inserted_with_few_statements(postgres: PostgresDatabase) -> None:
    names = InsertSql("checkpoint_threads", "thread_id", "ON CONFLICT (thread_id) DO NOTHING")
    await postgres.write(names.run, [(f"t{n % 90}",) for n in range(100)])
    assert await postgres.read(COUNT.row) == (90,)


async def test_a_reader_begins_anew_after_an_error(postgres: PostgresDatabase) -> None:
    for _ in range(6):  # each of the readers
        with pytest.raises(psycopg.errors.DivisionByZero):
            await postgres.read(FAIL.row, 0)
        assert await postgres.read(FAIL.row, 1) == (1,)


async def test_a_read_leaves_no_transaction_behind(postgres: PostgresDatabase) -> None:
    await postgres.read(COUNT.row)
    for _ in range(200):
        open_ones = await postgres.write(
            Sql(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in%'"
            ).row
        )
        if open_ones == (0,):
            return
    pytest.fail("a transaction stays open")


async def test_a_connection_that_is_cut_while_much_is_on_its_way_is_made_anew(
    postgres: PostgresDatabase, other: PostgresDatabase
) -> None:
    tries: list[int] = []
    cut = threading.Event()

    def work(conn: Connection) -> int:
        tries.append(wire_of(conn).send(b"SELECT pg_backend_pid()").rows()[0][0])
        INSERT.run(conn, "once")
        if not cut.is_set():
            other.write_blocking(Sql("SELECT pg_terminate_backend(?)").row, tries[0])
            cut.set()
        asked = [ONE.ask(conn) for _ in range(100)]
        return sum(each.first()[0] for each in asked)  # type: ignore[index]

    assert await postgres.write(work) == 100
    assert len(set(tries)) == 2
    assert await postgres.read(COUNT.row) == (1,)
