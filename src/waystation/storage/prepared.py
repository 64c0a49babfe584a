"""Statements of the hot path: built with SQLAlchemy, run on the driver without it.

Executing a statement through SQLAlchemy takes some 45 µs of Python, of which SQLite needs 4. A `Prepared` statement is compiled
once for each dialect; afterwards its parameters are converted by their column types and handed to the driver, for some 8 µs.
On PostgreSQL, moreover, a statement without a result does not wait for the server (`waystation.storage.postgres`).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Insert, Select, Text, Update, bindparam
from sqlalchemy.engine import Dialect

from waystation.auth.access import Access, Shared
from waystation.storage.driver import settled

__all__ = ["Prepared", "Within"]

SHAPES_KEPT = 64
"""Forms of limits for which a compiled statement is kept. A project's handlers answer with a few."""

Statement = Select[*tuple[Any, ...]] | Insert | Update | Delete
Convert = Callable[[Any], Any]


class Prepared:
    """One statement with ``bindparam``s (an insert: all the columns that are `given`)."""

    __slots__ = ("_drivers", "_given", "_limited", "_statement")

    def __init__(self, statement: Statement, given: tuple[str, ...] = ()) -> None:
        self._statement = statement
        self._given = given
        self._drivers: dict[str, _OnDriver] = {}
        self._limited: dict[Hashable, Prepared] = {}

    def within(self, access: Access, metadata: ColumnElement[Any], shared: Shared = "hidden") -> Prepared | Within:
        """The statement restricted to what `access` may see of the resource with this `metadata` column."""
        limits = access.limits(metadata, shared)
        if limits is None or isinstance(self._statement, Insert):
            return self
        given = {f"access_{number}": text for number, text in enumerate(limits.parameters())}
        prepared = self._limited.get(limits.shape)
        if prepared is None:
            names = iter(given)
            statement: Any = self._statement
            limited = statement.where(limits.condition(lambda _: bindparam(next(names), type_=Text)))
            prepared = Prepared(limited, self._given)
            if len(self._limited) < SHAPES_KEPT:
                self._limited[limits.shape] = prepared
        return Within(prepared, given)

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """All rows of the result, as named tuples."""
        return self._on(conn.dialect).rows(conn, parameters)

    def first(self, conn: Connection, parameters: Mapping[str, Any]) -> Any | None:
        """The first row, or None."""
        rows = self.rows(conn, parameters)
        return rows[0] if rows else None

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        """Execute a statement whose result nobody needs."""
        self._on(conn.dialect).execute(conn, parameters)

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute a statement that has no result; returns how many rows it touched."""
        cursor = self._on(conn.dialect).execute(conn, parameters)
        touched: int = settled(conn, cursor).rowcount
        return touched

    def _on(self, dialect: Dialect) -> _OnDriver:
        driver = self._drivers.get(dialect.name)
        if driver is None:
            driver = self._drivers[dialect.name] = _OnDriver(self._statement, self._given, dialect)
        return driver


class Within:
    """A `Prepared` restricted by an access, whose parameters it brings along."""

    __slots__ = ("_given", "_prepared")

    def __init__(self, prepared: Prepared, given: Mapping[str, str]) -> None:
        self._prepared = prepared
        self._given = given

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """As `Prepared.rows`."""
        return self._prepared.rows(conn, {**parameters, **self._given})

    def first(self, conn: Connection, parameters: Mapping[str, Any]) -> Any | None:
        """As `Prepared.first`."""
        return self._prepared.first(conn, {**parameters, **self._given})

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        """As `Prepared.run`."""
        self._prepared.run(conn, {**parameters, **self._given})

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """As `Prepared.count`."""
        return self._prepared.count(conn, {**parameters, **self._given})


class _OnDriver:
    """The statement as a driver takes it. The same for every database of a dialect."""

    __slots__ = ("_by_name", "_parameters", "_results", "_row", "_sql")

    _parameters: list[tuple[str, bool, Any]]
    """In the statement's order: a name, whether it is a parameter, and the parameter's converter or the constant."""

    def __init__(self, statement: Any, given: tuple[str, ...], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(given) or None)
        self._sql = str(compiled)
        self._by_name = not compiled.positional
        constants = compiled.params
        convert: Mapping[str, Convert] = compiled._bind_processors
        named = {bind.key for bind in compiled.binds.values() if bind.required} | set(given)
        self._parameters = []
        for name in constants if self._by_name else compiled.positiontup:
            converter = convert.get(name)
            if name in named:
                self._parameters.append((name, True, converter))
            else:
                constant = constants[name] if converter is None else converter(constants[name])
                self._parameters.append((name, False, constant))
        columns = list(getattr(statement, "selected_columns", ()) or getattr(statement, "exported_columns", ()))
        keys = [column.key for column in columns]
        row: Any = namedtuple("Row", keys, rename=True)  # type: ignore[misc]
        self._row = row._make
        self._results = [
            (index, processor)
            for index, column in enumerate(columns)
            if dialect.name == "sqlite"  # psycopg gives what we want by itself
            and (processor := column.type.result_processor(dialect, None)) is not None
        ]

    def execute(self, conn: Connection, parameters: Mapping[str, Any]) -> Any:
        raw: Any = conn.connection.dbapi_connection
        values = []
        for name, given, convert in self._parameters:
            if not given:
                values.append(convert)
            elif convert is None:
                values.append(parameters[name])
            else:
                values.append(convert(parameters[name]))
        if self._by_name:
            return raw.execute(
                self._sql, {each[0]: value for each, value in zip(self._parameters, values, strict=True)}
            )
        return raw.execute(self._sql, values)

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        found = []
        for row in self.execute(conn, parameters).fetchall():
            values = list(row)
            for index, processor in self._results:
                values[index] = processor(values[index])
            found.append(self._row(values))
        return found
