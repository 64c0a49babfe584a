"""JSON containment, in Python and through SQLite (spec 1.4)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Text, literal, select
from sqlalchemy.dialects.postgresql.base import PGDialect

from waystation.encoding import encode
from waystation.storage.containment import contained, contains, unindexed
from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import threads

CASES: list[tuple[Any, Any, bool]] = [
    ({}, {"a": 1}, True),
    ({"a": 1}, {"a": 1, "b": 2}, True),
    ({"a": 1}, {"b": 1}, False),
    ({"a": 1}, {"a": 1.0}, True),
    ({"a": 1}, {"a": True}, False),
    ({"a": True}, {"a": 1}, False),
    ({"a": True}, {"a": True}, True),
    ({"a": 1}, {"a": "1"}, False),
    ({"a": None}, {"a": None}, True),
    ({"a": None}, {}, False),
    ({"a": None}, {"a": False}, False),
    ({"a": 0}, {"a": False}, False),
    ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
    ({"a": {}}, {"a": {"b": 2}}, True),
    ({"a": {}}, {"a": []}, False),
    ({"a": [1]}, {"a": [2, 1]}, True),
    ({"a": [1, 1]}, {"a": [1]}, True),
    ({"a": [1, 3]}, {"a": [2, 1]}, False),
    ({"a": []}, {"a": [1]}, True),
    ({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"b": 1, "c": 0}]}, True),
    ({"a": [[1]]}, {"a": [[2, 1]]}, True),
    ({"a": [1]}, {"a": 1}, False),
    ({"a": "ü\U0001f600"}, {"a": "ü\U0001f600"}, True),
]


@pytest.mark.parametrize(("needle", "haystack", "expected"), CASES)
def test_containment(needle: Any, haystack: Any, expected: bool) -> None:
    assert contained(needle, haystack) is expected


@pytest.mark.sqlite
async def test_sqlite_has_the_same_containment(db: SqliteDatabase) -> None:
    def ask(conn: Connection, needle: Any, haystack: str | None) -> bool:
        condition = contains(literal(haystack, Text), encode(needle))
        return bool(conn.execute(select(condition)).scalar_one())

    for needle, haystack, expected in CASES:
        assert await db.read(ask, needle, encode(haystack).decode()) is expected, (needle, haystack)
    assert await db.read(ask, {}, None) is False


def test_postgresql_uses_its_own_operator() -> None:
    statement = select(threads.c.thread_id).where(
        contains(threads.c.metadata, b'{"a":1}'), unindexed(threads.c.status) == "idle"
    )
    sql = str(statement.compile(dialect=PGDialect()))  # type: ignore[no-untyped-call]
    assert "WHERE threads.metadata @> CAST(%(param_1)s" in sql
    assert "AND threads.status = " in sql


async def test_lower_knows_more_than_ascii(db: SqliteDatabase) -> None:
    assert await db.read(lambda conn: conn.exec_driver_sql("SELECT lower('ÄÖÜ A')").scalar_one()) == "äöü a"
