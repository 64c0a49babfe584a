"""Statements of the hot path: built with SQLAlchemy, run on the driver without it.

Executing a statement through SQLAlchemy takes some 45 µs of Python, of which SQLite needs 4. A `Prepared` statement is compiled
once for each dialect; afterwards its parameters are converted by their column types and handed to the driver, for some 8 µs.
On PostgreSQL, moreover, a statement without a result does not wait for the server (`waystation.storage.postgres`).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Delete, Insert, Select, Text, Update, bindparam
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect

from waystation.auth.access import Access, Shared
from waystation.encoding import decode, encode
from waystation.storage import sealing
from waystation.storage.driver import Answered, Asked
from waystation.storage.sealed_types import Sealed, SealedJson
from waystation.storage.wire import Answer, wire_of

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
        self._drivers: dict[str, _OnSqlite | _OnPostgresql] = {}
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

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """All rows of the result, as named tuples."""
        return self._on(conn.dialect).rows(conn, parameters)

    def first(self, conn: Connection, parameters: Mapping[str, Any]) -> Any | None:
        """The first row, or None."""
        rows = self.rows(conn, parameters)
        return rows[0] if rows else None

    def ask(self, conn: Connection, parameters: Mapping[str, Any]) -> Asked:
        """Send the query now, and fetch its rows later."""
        return self._on(conn.dialect).ask(conn, parameters)

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        """Execute a statement whose result nobody needs."""
        self._on(conn.dialect).run(conn, parameters)

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute a statement that has no result; returns how many rows it touched."""
        return self._on(conn.dialect).count(conn, parameters)

    def _on(self, dialect: Dialect) -> _OnSqlite | _OnPostgresql:
        driver = self._drivers.get(dialect.name)
        if driver is None:
            on = _OnSqlite if dialect.name == "sqlite" else _OnPostgresql
            driver = self._drivers[dialect.name] = on(self._statement, self._given, dialect)
        return driver


class Within:
    """A `Prepared` restricted by an access, whose parameters it brings along."""

    __slots__ = ("_given", "_prepared")

    def __init__(self, prepared: Prepared, given: Mapping[str, str]) -> None:
        self._prepared = prepared
        self._given = given

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """As `Prepared.rows`."""
        return self._prepared.rows(conn, {**parameters, **self._given})

    def first(self, conn: Connection, parameters: Mapping[str, Any]) -> Any | None:
        """As `Prepared.first`."""
        return self._prepared.first(conn, {**parameters, **self._given})

    def ask(self, conn: Connection, parameters: Mapping[str, Any]) -> Asked:
        """As `Prepared.ask`."""
        return self._prepared.ask(conn, {**parameters, **self._given})

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        """As `Prepared.run`."""
        self._prepared.run(conn, {**parameters, **self._given})

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """As `Prepared.count`."""
        return self._prepared.count(conn, {**parameters, **self._given})


class _Compiled:
    """The statement as a driver takes it. The same for every database of a dialect."""

    __slots__ = ("_parameters", "_row", "_sql")

    _parameters: list[tuple[str, bool, Any]]
    """In the statement's order: a name, whether it is a parameter, and the parameter's converter or the constant."""

    def __init__(self, statement: Any, given: tuple[str, ...], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(given) or None)
        self._sql = str(compiled)
        constants = compiled.params
        named = {bind.key for bind in compiled.binds.values() if bind.required} | set(given)
        self._parameters = []
        for name in compiled.positiontup or ():
            convert = self._converter(compiled, name)
            if name in named:
                self._parameters.append((name, True, convert))
            else:
                constant = constants[name] if convert is None else convert(constants[name])
                self._parameters.append((name, False, constant))
        row: Any = namedtuple("Row", [column.key for column in _columns(statement)], rename=True)  # type: ignore[misc]
        self._row = row._make

    def _converter(self, compiled: Any, name: str) -> Convert | None:
        kind = compiled.binds[name].type
        if isinstance(kind, SealedJson):
            return _sealing(kind)
        if isinstance(kind, JSON):
            return _json_or_null if kind.none_as_null else _json
        convert: Convert | None = compiled._bind_processors.get(name)
        return convert

    def _values(self, parameters: Mapping[str, Any]) -> list[Any]:
        values = []
        for name, given, convert in self._parameters:
            if not given:
                values.append(convert)
            elif convert is None:
                values.append(parameters[name])
            else:
                values.append(convert(parameters[name]))
        return values


class _OnSqlite(_Compiled):
    __slots__ = ("_results",)

    def __init__(self, statement: Any, given: tuple[str, ...], dialect: Dialect) -> None:
        super().__init__(statement, given, dialect)
        self._results = [
            (index, read)
            for index, column in enumerate(_columns(statement))
            if (read := _reader(column.type, dialect)) is not None
        ]

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> Any:
        raw: Any = conn.connection.dbapi_connection
        return raw.execute(self._sql, self._values(parameters))

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        touched: int = self.run(conn, parameters).rowcount
        return touched

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        found = []
        for row in self.run(conn, parameters).fetchall():
            values = list(row)
            for index, processor in self._results:
                values[index] = processor(values[index])
            found.append(self._row(values))
        return found

    def ask(self, conn: Connection, parameters: Mapping[str, Any]) -> Asked:
        return Answered(self.rows(conn, parameters))


class _OnPostgresql(_Compiled):
    __slots__ = ("_sealed", "_text")

    def __init__(self, statement: Any, given: tuple[str, ...], dialect: Dialect) -> None:
        super().__init__(statement, given, _numbering())
        self._text = self._sql.encode()
        self._sealed = [
            (index, column.type) for index, column in enumerate(_columns(statement)) if isinstance(column.type, Sealed)
        ]

    def _send(self, conn: Connection, parameters: Mapping[str, Any]) -> Answer:
        return wire_of(conn).send(self._text, self._values(parameters))

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        self._send(conn, parameters)

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        return self._send(conn, parameters).count()

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._send(conn, parameters).rows(self._make_row())

    def ask(self, conn: Connection, parameters: Mapping[str, Any]) -> Asked:
        return Asked(partial(self._send(conn, parameters).rows, self._make_row()))

    def _make_row(self) -> Convert:
        row: Convert = self._row
        return self._open if self._sealed and sealing.active() is not None else row

    def _open(self, values: Sequence[Any]) -> Any:
        opened = list(values)
        for index, kind in self._sealed:
            opened[index] = kind.opened(opened[index])
        return self._row(opened)


@cache
def _numbering() -> Dialect:
    """psycopg's dialect with libpq's own names for parameters."""
    dialect: Dialect = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    return dialect


def _columns(statement: Any) -> list[Any]:
    return list(getattr(statement, "selected_columns", ()) or getattr(statement, "exported_columns", ()))


def _sealing(kind: SealedJson) -> Convert:
    def convert(value: Any) -> str | None:
        if value is not None and sealing.active() is not None:
            value = kind.sealed(value)
        return None if value is None else encode(value).decode()

    return convert


def _reader(kind: Any, dialect: Dialect) -> Convert | None:
    """What makes a value of what SQLite returns, if something has to."""
    if not isinstance(kind, SealedJson):
        read: Convert | None = kind.result_processor(dialect, None)
        return read

    def opening(stored: str | None) -> Any:
        if stored is None:
            return None
        value = decode(stored)
        return value if sealing.active() is None else kind.opened(value)

    return opening


def _json(value: Any) -> str:
    return encode(value).decode()


def _json_or_null(value: Any) -> str | None:
    return None if value is None else encode(value).decode()
