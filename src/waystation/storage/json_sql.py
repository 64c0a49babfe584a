"""Conditions on single values inside a JSON column, on both dialects (spec 10).

A path is a tuple of object keys and array positions; any text is a valid key. A missing value counts as ``null``. The
conditions are true or false, never NULL, so that they may be negated. Numbers are equal by value (``1`` and ``1.0``) and
never equal a string or a boolean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from waystation.encoding import encode

__all__ = ["EncodedJson", "JsonPath", "JsonSql", "Order", "json_sql"]

JsonPath = tuple[str | int, ...]

Order = Literal["gt", "gte", "lt", "lte"]


class _JsonbText(UserDefinedType[str]):
    """Text that PostgreSQL takes as JSONB."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **kw: Any) -> str:
        return "JSONB"


EncodedJson = Text().with_variant(_JsonbText(), "postgresql")
"""The type of a bind parameter that is JSON text already: encoded by the caller instead of on the writer's thread."""


class JsonSql(Protocol):
    """How one dialect asks about the value at `path` in the JSON `document`."""

    def equals(self, document: ColumnElement[Any], path: JsonPath, wanted: Any) -> ColumnElement[bool]:
        """Whether the value is `wanted`, a plain JSON value; objects and arrays are compared in depth."""
        ...

    def is_object(self, document: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]: ...

    def is_array(self, document: ColumnElement[Any], path: JsonPath, length: int) -> ColumnElement[bool]:
        """Whether the value is an array of `length` elements."""
        ...

    def is_number(self, document: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]: ...

    def ordered(self, document: ColumnElement[Any], path: JsonPath, order: Order, number: float) -> ColumnElement[bool]:
        """Whether the value is a number that is greater (or less, ...) than `number`."""
        ...


def json_sql(dialect: str) -> JsonSql:
    """The conditions for ``sqlite`` or ``postgresql``."""
    return _POSTGRESQL if dialect == "postgresql" else _SQLITE


_UNSAFE = re.compile(r'["\\\x00-\x1f]')
"""Characters that a quoted step of SQLite's path language cannot express, whatever its version."""

_INT64 = 2**63


class _Sqlite:
    def equals(self, document: ColumnElement[Any], path: JsonPath, wanted: Any) -> ColumnElement[bool]:
        if wanted is None:
            return func.coalesce(_kind(document, path), "null") == "null"
        return self._same(document, path, wanted)

    def is_object(self, document: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]:
        return _is(document, path, "object")

    def is_array(self, document: ColumnElement[Any], path: JsonPath, length: int) -> ColumnElement[bool]:
        return and_(_is(document, path, "array"), _size(document, path) == length)

    def is_number(self, document: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]:
        return _is(document, path, "integer", "real")

    def ordered(self, document: ColumnElement[Any], path: JsonPath, order: Order, number: float) -> ColumnElement[bool]:
        return and_(self.is_number(document, path), _compare(_value(document, path), order, _number(number)))

    def _same(self, document: ColumnElement[Any], path: JsonPath, wanted: Any) -> ColumnElement[bool]:
        """Like `equals`, but a missing value equals nothing."""
        if isinstance(wanted, dict):
            inner = [self._same(document, (*path, key), value) for key, value in wanted.items()]
            return and_(_is(document, path, "object"), _size(document, path) == len(wanted), *inner)
        if isinstance(wanted, list):
            inner = [self._same(document, (*path, position), value) for position, value in enumerate(wanted)]
            return and_(self.is_array(document, path, len(wanted)), *inner)
        if wanted is None:
            return _is(document, path, "null")
        if isinstance(wanted, bool):
            return _is(document, path, "true" if wanted else "false")
        if isinstance(wanted, str):
            return and_(_is(document, path, "text"), _value(document, path) == literal(wanted, Text))
        return and_(self.is_number(document, path), _value(document, path) == _number(wanted))


def _is(document: ColumnElement[Any], path: JsonPath, *kinds: str) -> ColumnElement[bool]:
    return func.coalesce(_kind(document, path), "missing").in_(kinds)


def _size(document: ColumnElement[Any], path: JsonPath) -> ColumnElement[int]:
    """How many elements or keys the array or object has."""
    # json_each fails on text that is not JSON, and the order in which conditions are tried is not ours.
    container = case((_is(document, path, "object", "array"), _value(document, path)))
    members = func.json_each(container).table_valued("key")
    return select(func.count(members.c.key)).scalar_subquery()


def _kind(document: ColumnElement[Any], path: JsonPath) -> ColumnElement[Any]:
    """SQLite's name for the type of the value; NULL if there is none."""
    document, rest = _descend(document, path)
    if isinstance(rest, str):
        return _member(document, rest, "type")
    return func.json_type(document, _sqlite_path(rest))


def _value(document: ColumnElement[Any], path: JsonPath) -> ColumnElement[Any]:
    """The value as SQL has it: a number or string, JSON text for objects and arrays."""
    document, rest = _descend(document, path)
    if isinstance(rest, str):
        return _member(document, rest, "value")
    return func.json_extract(document, _sqlite_path(rest))


def _descend(document: ColumnElement[Any], path: JsonPath) -> tuple[ColumnElement[Any], JsonPath | str]:
    """The document below the last key that a path cannot express, and what remains of `path`: a path, or that key."""
    document = type_coerce(document, Text)
    start = 0
    for position, step in enumerate(path):
        if isinstance(step, int) or (step and not _UNSAFE.search(step)):
            continue
        if position > start:
            # Only an object may be taken apart below: json_each fails on text that is not JSON.
            above = _sqlite_path(path[start:position])
            document = case((func.json_type(document, above) == "object", func.json_extract(document, above)))
        if position == len(path) - 1:
            return document, step
        document = _member(document, step, "value", "object", "array")
        start = position + 1
    return document, path[start:]


def _member(document: ColumnElement[Any], key: str, what: Literal["type", "value"], *kinds: str) -> ColumnElement[Any]:
    """The type or value of the member `key` of the object `document`, if it is of one of `kinds`."""
    members = func.json_each(document).table_valued("key", "value", "type")
    query = select(members.c[what]).where(members.c.key == literal(key, Text))
    if kinds:
        query = query.where(members.c.type.in_(kinds))
    return query.scalar_subquery()


def _sqlite_path(path: Sequence[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in path)


def _number(number: float) -> ColumnElement[Any]:
    """`number` as a parameter; an integer beyond 64 bits as the float that SQLite reads it as."""
    return literal(float(number) if not -_INT64 <= number < _INT64 else number)


def _compare(value: ColumnElement[Any], order: Order, number: ColumnElement[Any]) -> ColumnElement[bool]:
    match order:
        case "gt":
            return value > number
        case "gte":
            return value >= number
        case "lt":
            return value < number
        case "lte":
            return value <= number


class _Postgresql:
    def equals(self, document: ColumnElement[Any], path: JsonPath, wanted: Any) -> ColumnElement[bool]:
        null: ColumnElement[Any] = literal_column("'null'::jsonb")
        return func.coalesce(_node(document, path), null) == cast(literal(encode(wanted).decode(), Text), JSONB)

    def is_object(self, document: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]:
        return _has_type(document, path, "object")

    def is_array(self, document: ColumnElement[Any], path: JsonPath, length: int) -> ColumnElement[bool]:
        size = func.jsonb_array_length(_node(document, path))
        return case((_has_type(document, path, "array"), size == length), else_=false())

    def is_number(self, document: ColumnElement[Any], path: JsonPath) -> ColumnElement[bool]:
        return _has_type(document, path, "number")

    def ordered(self, document: ColumnElement[Any], path: JsonPath, order: Order, number: float) -> ColumnElement[bool]:
        value = cast(_node(document, path).op("#>>")(literal_column("'{}'")), Numeric)
        matches = _compare(value, order, cast(literal(repr(number), Text), Numeric))
        return case((self.is_number(document, path), matches), else_=false())


def _node(document: ColumnElement[Any], path: JsonPath) -> ColumnElement[Any]:
    return func.jsonb_extract_path(document, *(literal(str(step), Text) for step in path))


def _has_type(document: ColumnElement[Any], path: JsonPath, kind: str) -> ColumnElement[bool]:
    return func.coalesce(func.jsonb_typeof(_node(document, path)), "null") == kind


_SQLITE: JsonSql = _Sqlite()
_POSTGRESQL: JsonSql = _Postgresql()
