"""Hot-path SQL, run on the driver itself.

SQLAlchemy takes 40 µs to run a statement that SQLite answers in 4. The few statements that every superstep of every run
executes are therefore plain SQL, in the part of the language both databases share, and go straight to the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from sqlalchemy import Connection

from waystation.storage.wire import Answer, wire_of

__all__ = ["Answered", "Asked", "InsertSql", "Sql"]

Row = tuple[Any, ...]

TOGETHER = 32
"""Rows inserted by one statement at most."""


class Asked:
    """A query whose result is fetched later: on PostgreSQL several are sent before the first answer is waited for."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Callable[[], Sequence[Any]]) -> None:
        self._rows = rows

    def rows(self) -> Sequence[Any]:
        """All rows of the result. Asked for once."""
        return self._rows()

    def first(self) -> Any | None:
        """The first row, if there is one. Instead of `rows`."""
        rows = self._rows()
        return rows[0] if rows else None


class Answered(Asked):
    """A query whose rows are there already."""

    __slots__ = ("_found",)

    def __init__(self, rows: Sequence[Any]) -> None:
        self._found = rows

    def rows(self) -> Sequence[Any]:
        return self._found

    def first(self) -> Any | None:
        return self._found[0] if self._found else None


class Sql:
    """One statement with ``?`` for its parameters. It must not contain ``?`` otherwise."""

    __slots__ = ("_postgresql", "_sqlite")

    def __init__(self, statement: str) -> None:
        self._sqlite = statement
        parts = statement.split("?")
        numbered = [f"{part}${number}" for part, number in zip(parts, count(1), strict=False)][:-1]
        self._postgresql = "".join([*numbered, parts[-1]]).encode()

    def rows(self, conn: Connection, *parameters: Any) -> Sequence[Row]:
        """All rows of the result."""
        if conn.dialect.name == "sqlite":
            rows: Sequence[Row] = self._on_sqlite(conn, parameters).fetchall()
            return rows
        return self._on_postgresql(conn, parameters).rows()

    def row(self, conn: Connection, *parameters: Any) -> Row | None:
        """The first row, if there is one."""
        rows = self.rows(conn, *parameters)
        return rows[0] if rows else None

    def ask(self, conn: Connection, *parameters: Any) -> Asked:
        """Send the query now, and fetch its rows later."""
        if conn.dialect.name == "sqlite":
            return Answered(self.rows(conn, *parameters))
        return Asked(self._on_postgresql(conn, parameters).rows)

    def run(self, conn: Connection, *parameters: Any) -> None:
        """Execute a statement whose result nobody needs."""
        if conn.dialect.name == "sqlite":
            self._on_sqlite(conn, parameters)
        else:
            self._on_postgresql(conn, parameters)

    def _on_sqlite(self, conn: Connection, parameters: Sequence[Any]) -> Any:
        raw: Any = conn.connection.dbapi_connection
        return raw.execute(self._sqlite, parameters)

    def _on_postgresql(self, conn: Connection, parameters: Sequence[Any]) -> Answer:
        return wire_of(conn).send(self._postgresql, parameters)


class InsertSql:
    """An insert of several rows at once: each call of the driver is an occasion for other threads to come in between."""

    __slots__ = ("_statements",)

    def __init__(self, table: str, columns: str, conflict: str = "") -> None:
        row = f"({', '.join('?' * len(columns.split(',')))})"
        self._statements = tuple(
            Sql(f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * count)} {conflict}")
            for count in range(1, TOGETHER + 1)
        )

    def run(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Insert the rows in this order."""
        for start in range(0, len(rows), TOGETHER):
            part = rows[start : start + TOGETHER]
            self._statements[len(part) - 1].run(conn, *[value for row in part for value in row])
