"""The filter language of a search (spec 10).

A filter is an object: each key names a field of the item's value, and all have to match. What stands there is either an
object of operators (``{"$gte": 3}``), a nested object whose keys are again fields, an array that must match element by
element, or a scalar that must be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from waystation.encoding import to_plain
from waystation.errors import BadInput
from waystation.storage.json_sql import JsonPath, Order

__all__ = ["Condition", "InvalidFilter", "parse_filter", "where"]

MAX_VALUES = 200
"""Values in one filter: each becomes a term of the statement, and databases limit the depth of those."""

MAX_DEPTH = 10
"""Levels of objects and arrays in one filter, for the same reason."""

_ORDERS: dict[str, Order] = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
_OPERATORS = ("$eq", "$ne", *_ORDERS)


class InvalidFilter(BadInput, ValueError):
    """The filter is not one this store understands. (Graph code may catch it as the ValueError other stores raise.)"""


class Condition(NamedTuple):
    """One thing that must hold for the value at `path`."""

    path: JsonPath
    test: Literal["equal", "unequal", "object", "array"] | Order
    operand: Any = None
    """The plain JSON value to compare with; for ``array`` its length."""


def parse_filter(wanted: Mapping[str, Any] | None) -> tuple[Condition, ...]:
    """The conditions of a filter. Raises InvalidFilter for unknown operators and operands that cannot be ordered."""
    if not wanted:
        return ()
    plain = to_plain(wanted)
    if _count(plain) > MAX_VALUES or _depth(plain) > MAX_DEPTH:
        raise InvalidFilter(f"A filter may hold at most {MAX_VALUES} values, {MAX_DEPTH} levels deep.")
    return tuple(condition for key, value in plain.items() for condition in _field(key, value))


def where(path: JsonPath) -> str:
    """`path` for a person."""
    return ".".join(map(str, path))


def _field(key: str, value: Any) -> Iterator[Condition]:
    if key.startswith("$"):
        raise InvalidFilter(f"The operator {key!r} stands where the name of a field is expected.")
    return _conditions((key,), value)


def _conditions(path: JsonPath, wanted: Any) -> Iterator[Condition]:
    if isinstance(wanted, dict):
        if any(key.startswith("$") for key in wanted):
            yield from (_operation(path, key, operand) for key, operand in wanted.items())
            return
        yield Condition(path, "object")
        for key, value in wanted.items():
            yield from _conditions((*path, key), value)
    elif isinstance(wanted, list):
        yield Condition(path, "array", len(wanted))
        for position, value in enumerate(wanted):
            yield from _conditions((*path, position), value)
    else:
        yield Condition(path, "equal", wanted)


def _operation(path: JsonPath, operator: str, operand: Any) -> Condition:
    if operator == "$eq":
        return Condition(path, "equal", operand)
    if operator == "$ne":
        return Condition(path, "unequal", operand)
    if operator not in _ORDERS:
        raise InvalidFilter(
            f"Unknown filter operator {operator!r} for {where(path)!r}; there are {', '.join(_OPERATORS)}."
        )
    if isinstance(operand, bool) or not isinstance(operand, (int, float)):
        raise InvalidFilter(f"{operator} compares numbers, but {where(path)!r} is compared with {operand!r}.")
    return Condition(path, _ORDERS[operator], operand)


def _count(value: Any) -> int:
    return 1 + sum(map(_count, _inner(value)))


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, _inner(value)), default=0)


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
