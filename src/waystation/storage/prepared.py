"""Statements of the hot path: built with SQLAlchemy, run on SQLite's driver without it.

Executing a statement through SQLAlchemy takes some 45 µs of Python, of which SQLite needs 4. A `Prepared` statement is compiled
once; afterwards its parameters are put in order, converted by their column types and handed to the driver, for some 8 µs.
On PostgreSQL, where the round trip outweighs this, it goes through SQLAlchemy.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect

from waystation.auth.access import Access

__all__ = ["Prepared"]

Statement = Select[*tuple[Any, ...]] | Insert | Update | Delete
Convert = Callable[[Any], Any]


class Prepared:
    """One statement with ``bindparam``s (an insert: all the columns that are `given`)."""

    __slots__ = ("_driver", "_given", "_statement")

    def __init__(self, statement: Statement, given: tuple[str, ...] = ()) -> None:
        self._statement = statement
        self._given = given
        self._driver: _OnDriver | None = None

    def within(self, access: Access, metadata: ColumnElement[Any]) -> Prepared:
        """The statement restricted to what `access` may see of the resource with this `metadata` column."""
        if isinstance(self._statement, Insert):
            return self
        statement: Any = self._statement
        limited = access.limit(statement, metadata)
        return self if limited is statement else Prepared(limited, self._given)

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """All rows of the result, as named tuples."""
        if conn.dialect.name != "sqlite":
            return list(conn.execute(self._statement, parameters))
        driver = self._driver or self._compile(conn.dialect)
        return driver.rows(conn, parameters)

    def first(self, conn: Connection, parameters: Mapping[str, Any]) -> Any | None:
        """The first row, or None."""
        rows = self.rows(conn, parameters)
        return rows[0] if rows else None

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute a statement that has no result; returns how many rows it touched."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, parameters).rowcount
        driver = self._driver or self._compile(conn.dialect)
        touched: int = driver.execute(conn, parameters).rowcount
        return touched

    def _compile(self, dialect: Dialect) -> _OnDriver:
        self._driver = _OnDriver(self._statement, self._given, dialect)
        return self._driver


class _OnDriver:
    """The statement as SQLite's driver takes it. The same for every SQLite database."""

    __slots__ = ("_parameters", "_results", "_row", "_sql")

    _parameters: list[tuple[str | None, Any]]
    """In the statement's order: a parameter's name and its converter, or None and a constant."""

    def __init__(self, statement: Any, given: tuple[str, ...], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(given) or None)
        self._sql = str(compiled)
        constants = compiled.params
        convert: Mapping[str, Convert] = compiled._bind_processors
        named = {bind.key for bind in compiled.binds.values() if bind.required} | set(given)
        self._parameters = []
        for name in compiled.positiontup:
            converter = convert.get(name)
            if name in named:
                self._parameters.append((name, converter))
            else:
                self._parameters.append((None, constants[name] if converter is None else converter(constants[name])))
        columns = list(getattr(statement, "selected_columns", ()) or getattr(statement, "exported_columns", ()))
        keys = [column.key for column in columns]
        row: Any = namedtuple("Row", keys, rename=True)  # type: ignore[misc]
        self._row = row._make
        self._results = [
            (index, processor)
            for index, column in enumerate(columns)
            if (processor := column.type.result_processor(dialect, None)) is not None
        ]

    def execute(self, conn: Connection, parameters: Mapping[str, Any]) -> Any:
        raw: Any = conn.connection.dbapi_connection
        values = []
        for name, converter in self._parameters:
            if name is None:
                values.append(converter)
            elif converter is None:
                values.append(parameters[name])
            else:
                values.append(converter(parameters[name]))
        return raw.execute(self._sql, values)

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        found = []
        for row in self.execute(conn, parameters).fetchall():
            values = list(row)
            for index, processor in self._results:
                values[index] = processor(values[index])
            found.append(self._row(values))
        return found
