"""JSON containment in SQL, on both dialects (spec 1.4).

A wanted structure is contained when every key of its objects is present with a value that contains the wanted one, when
each element of its arrays is contained in some element of the other array, and when scalars are equal. Numbers are equal
by value (``1`` and ``1.0``); no number equals a string or a boolean; ``null`` equals only ``null``. That is what
PostgreSQL's ``@>`` does; SQLite gets a function of the same meaning.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import Boolean

from waystation.encoding import decode

__all__ = [
    "contained",
    "contains",
    "contains_bound",
    "has_member",
    "member_equals",
    "register",
    "unindexed",
    "unwalked",
]


class json_contains(GenericFunction[bool]):
    """``json_contains(column, needle)``: whether the JSON in `column` contains the JSON text `needle`."""

    type = Boolean()
    inherit_cache = True


@compiles(json_contains, "postgresql")
def _postgresql_contains(element: json_contains, compiler: SQLCompiler, **kw: Any) -> str:
    column, needle = element.clauses
    return f"{compiler.process(column, **kw)} @> CAST({compiler.process(needle, **kw)} AS JSONB)"


class unindexed(GenericFunction[Any]):
    """``unindexed(column)``: the column's value, where looking it up in an index would be the wrong plan.

    SQLite keeps no statistics here and takes every equality for selective; PostgreSQL knows better by itself.
    """

    inherit_cache = True


@compiles(unindexed, "sqlite")
def _sqlite_unindexed(element: unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    return "+" + compiler.process(element.clauses, **kw)


class unwalked(GenericFunction[Any]):
    """``unwalked(column)``: the column's value to sort by, where walking an index in this order would be the wrong plan.

    Only PostgreSQL would do so: it knows how many rows match, but not that they are all at the other end.
    """

    inherit_cache = True


@compiles(unindexed)
@compiles(unwalked)
def _plain(element: unindexed | unwalked, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(unwalked, "postgresql")
def _postgresql_unwalked(element: unwalked, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = element.clauses
    nothing = "|| ''" if isinstance(column.type, Text) else "+ 0"
    return f"({compiler.process(column, **kw)} {nothing})"


def contains(column: ColumnElement[Any], needle: str | bytes) -> ColumnElement[bool]:
    """The condition that the JSON in `column` contains `needle`, a JSON text; never true where `column` is NULL."""
    text = needle.decode() if isinstance(needle, bytes) else needle
    return json_contains(column, bindparam(None, text, type_=Text, unique=True))


def contains_bound(column: ColumnElement[Any], needle: ColumnElement[str]) -> ColumnElement[bool]:
    """`contains` with the caller's own parameter for the needle."""
    return json_contains(column, needle)


class json_member_equals(GenericFunction[bool]):
    """``json_member_equals(column, key, value)``: whether the object in `column` has `key`, with exactly the JSON `value`."""

    type = Boolean()
    inherit_cache = True


@compiles(json_member_equals, "postgresql")
def _postgresql_member_equals(element: json_member_equals, compiler: SQLCompiler, **kw: Any) -> str:
    column, key, value = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"coalesce({column} -> CAST({key} AS TEXT) = CAST({value} AS JSONB), false)"


def member_equals(
    column: ColumnElement[Any], key: ColumnElement[str], value: ColumnElement[str]
) -> ColumnElement[bool]:
    """The condition that the JSON object in `column` has a member `key` that equals the JSON text `value` in depth."""
    return json_member_equals(column, key, value)


def contained(needle: Any, haystack: Any) -> bool:
    """Whether the decoded JSON value `haystack` contains the decoded `needle`."""
    # Loops rather than all() and any(): a needle may be as deep as a request body, and each level of those costs five of
    # Python's stack frames instead of one.
    if isinstance(needle, dict):
        if not isinstance(haystack, dict):
            return False
        for key, value in needle.items():  # noqa: SIM110
            if key not in haystack or not contained(value, haystack[key]):
                return False
        return True
    if isinstance(needle, list):
        if not isinstance(haystack, list):
            return False
        for item in needle:
            for other in haystack:
                if contained(item, other):
                    break
            else:
                return False
        return True
    if isinstance(needle, bool) or isinstance(haystack, bool):
        return needle is haystack
    return bool(needle == haystack)


def register(connection: sqlite3.Connection) -> None:
    """Give a SQLite connection the functions that the statements of this module and of the features rely on."""
    connection.create_function("json_contains", 2, _Contains(), deterministic=True)
    connection.create_function("json_member_equals", 3, _member_equals, deterministic=True)
    connection.create_function("lower", 1, _lower, deterministic=True)


NEEDLES_KEPT = 8
"""Needles that a statement may ask for in turn without decoding each anew for each row."""


class _Contains:
    """`contained` on JSON text. A statement asks for few needles row after row, so they are kept decoded."""

    def __init__(self) -> None:
        self._needles: dict[str, Any] = {}

    def __call__(self, haystack: str | None, needle: str) -> bool:
        if haystack is None:
            return False
        if needle not in self._needles:
            if len(self._needles) >= NEEDLES_KEPT:
                self._needles.clear()
            self._needles[needle] = decode(needle)
        return contained(self._needles[needle], decode(haystack))


def _member_equals(document: str | None, key: str, value: str) -> bool:
    return document is not None and has_member(decode(document), key, decode(value))


def has_member(document: Any, key: str, value: Any) -> bool:
    """Whether the decoded JSON `document` is an object whose member `key` equals the decoded `value` in depth."""
    return isinstance(document, dict) and key in document and _same(document[key], value)


def _same(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are equal. Unlike for Python, a boolean is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _lower(text: Any) -> Any:
    """Unlike SQLite's own, not only for ASCII: as on PostgreSQL."""
    return text.lower() if isinstance(text, str) else text
