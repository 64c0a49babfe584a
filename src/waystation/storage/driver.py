"""Hot-path SQL, run on the driver itself.

SQLAlchemy takes 40 µs to run a statement that SQLite answers in 4. The few statements that every superstep of every run
executes are therefore plain SQL, in the part of the language both databases share, and go straight to the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

__all__ = ["PIPELINE", "InsertSql", "Sql", "settled"]

Row = tuple[Any, ...]

TOGETHER = 32
"""Rows inserted by one statement at most."""

PIPELINE = "pipeline"
"""Where a PostgreSQL connection's ``info`` has psycopg's pipeline while it is in pipeline mode."""


def settled(conn: Connection, cursor: Any) -> Any:
    """`cursor`, once the server has answered. In a pipeline a statement is only on its way when `execute` returns."""
    pipeline = conn.info.get(PIPELINE)
    if pipeline is not None:
        pipeline.sync()
    return cursor


class Sql:
    """One statement with ``?`` for its parameters. It must not contain ``?`` or ``%`` otherwise."""

    __slots__ = ("_postgresql", "_sqlite")

    def __init__(self, statement: str) -> None:
        self._sqlite = statement
        self._postgresql = statement.replace("?", "%s")

    def rows(self, conn: Connection, *parameters: Any) -> Sequence[Row]:
        """All rows of the result."""
        rows: Sequence[Row] = self._execute(conn, parameters).fetchall()
        return rows

    def row(self, conn: Connection, *parameters: Any) -> Row | None:
        """The first row, if there is one."""
        rows = self.rows(conn, *parameters)
        return rows[0] if rows else None

    def run(self, conn: Connection, *parameters: Any) -> None:
        """Execute a statement whose result nobody needs."""
        self._execute(conn, parameters)

    def _execute(self, conn: Connection, parameters: Sequence[Any]) -> Any:
        raw: Any = conn.connection.dbapi_connection
        return raw.execute(self._sqlite if conn.dialect.name == "sqlite" else self._postgresql, parameters)


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
