"""Filters: what an authorization handler answers when a caller may see some rows, as conditions in SQL (spec 18.4).

A handler's dict becomes a small tree, which a statement takes up as one condition on a JSON column. Trees of the same shape
differ only in parameters, so that a prepared statement can be kept for each shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, false, or_

from waystation.encoding import decode, encode
from waystation.storage.containment import contained, contains_bound, has_member, member_equals

__all__ = [
    "NOTHING",
    "Contains",
    "Filter",
    "Group",
    "InvalidFilter",
    "Member",
    "both",
    "condition",
    "named",
    "parameters",
    "parse",
    "passes",
    "required",
    "shape",
]

DEEPEST = 2
"""Levels of ``$or`` and ``$and`` within each other."""

LEAST_ALTERNATIVES = 2

MAX_VALUES = 500
"""Conditions in one filter: SQLite refuses statements with a thousand levels."""

Bind: TypeAlias = Callable[[str], ColumnElement[str]]
"""Makes the parameter for a text."""


class InvalidFilter(ValueError):
    """What a handler answered is not a filter."""


class Contains(Struct, frozen=True):
    """The document contains this JSON object."""

    needle: str


class Member(Struct, frozen=True):
    """The document has this key, with exactly this JSON value. For objects and arrays, of which containment would accept more."""

    key: str
    value: str


class Group(Struct, frozen=True):
    """All of several filters, or one of them at least."""

    parts: tuple[Filter, ...]
    alternatives: bool = False


Filter: TypeAlias = Contains | Member | Group

NOTHING = Group((), alternatives=True)
"""Lets no row through."""


def parse(answer: Mapping[Any, Any]) -> Filter | None:
    """The filter that a handler's dict stands for; None for an empty one, which limits nothing. Raises InvalidFilter."""
    parts = list(_conjunction(answer, DEEPEST))
    if sum(map(_size, parts)) > MAX_VALUES:
        raise InvalidFilter(f"a filter may hold at most {MAX_VALUES} conditions")
    return _all(parts)


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """Rows that pass both; None is a filter that limits nothing."""
    if one is None or one == other:
        return other
    return one if other is None else Group((one, other))


def required(part: Filter | None) -> dict[str, Any]:
    """What every document contains that passes, as far as that is simply said."""
    if isinstance(part, Contains):
        found: dict[str, Any] = decode(part.needle)
        return found
    if isinstance(part, Group) and not part.alternatives:
        return {key: value for inner in part.parts for key, value in required(inner).items()}
    return {}


def named(part: Filter) -> dict[str, Any]:
    """All keys that the filter looks at, with something that it compares each with."""
    if isinstance(part, Contains):
        return required(part)
    if isinstance(part, Member):
        return {part.key: decode(part.value)}
    return {key: value for inner in part.parts for key, value in named(inner).items()}


def shape(part: Filter) -> Hashable:
    """What the conditions of two filters have in common if they differ in parameters only."""
    if isinstance(part, Group):
        return (part.alternatives, *map(shape, part.parts))
    return type(part).__name__


def parameters(part: Filter) -> Iterator[str]:
    """The texts that `condition` binds, in its order."""
    if isinstance(part, Contains):
        yield part.needle
    elif isinstance(part, Member):
        yield part.key
        yield part.value
    else:
        for inner in part.parts:
            yield from parameters(inner)


def condition(part: Filter, document: ColumnElement[Any], bind: Bind) -> ColumnElement[bool]:
    """`part` as a condition on the JSON column `document`; never true where that is NULL."""
    if isinstance(part, Contains):
        return contains_bound(document, bind(part.needle))
    if isinstance(part, Member):
        return member_equals(document, bind(part.key), bind(part.value))
    inner = [condition(each, document, bind) for each in part.parts]
    if not inner:
        return false()
    return or_(*inner) if part.alternatives else and_(*inner)


def passes(part: Filter | None, document: Any) -> bool:
    """Whether the decoded JSON `document` meets `part`, as `condition` has it in SQL; None is a filter that limits nothing."""
    if part is None:
        return True
    if isinstance(part, Contains):
        return contained(decode(part.needle), document)
    if isinstance(part, Member):
        return has_member(document, part.key, decode(part.value))
    each = (passes(inner, document) for inner in part.parts)
    return any(each) if part.alternatives else all(each)


def _all(parts: Sequence[Filter]) -> Filter | None:
    return parts[0] if len(parts) == 1 else Group(tuple(parts)) if parts else None


def _size(part: Filter) -> int:
    return sum(map(_size, part.parts)) if isinstance(part, Group) else 1


def _conjunction(answer: Any, depth: int) -> Iterator[Filter]:
    if not isinstance(answer, Mapping):
        raise InvalidFilter(f"a group of conditions must be a dict, not {type(answer).__name__}")
    needle: dict[str, Any] = {}
    for key, wanted in answer.items():
        if not isinstance(key, str):
            raise InvalidFilter(f"the key {key!r} is not a string")
        if key in ("$or", "$and"):
            yield _operator(key, wanted, depth)
        elif key.startswith("$"):
            raise InvalidFilter(f"there is no operator {key!r}; there are $or and $and")
        else:
            yield from _field(key, wanted, needle)
    if needle:
        yield Contains(encode(needle).decode())


def _operator(name: str, groups: Any, depth: int) -> Filter:
    if depth == 0:
        raise InvalidFilter(f"{name} stands too deep; at most {DEEPEST} may be within each other")
    if not isinstance(groups, Sequence) or isinstance(groups, str) or len(groups) < LEAST_ALTERNATIVES:
        raise InvalidFilter(f"{name} must be a list of at least {LEAST_ALTERNATIVES} groups")
    parts = []
    for group in groups:
        part = _all(list(_conjunction(group, depth - 1)))
        if part is None:
            raise InvalidFilter(f"a group of {name} is empty")
        parts.append(part)
    return Group(tuple(parts), alternatives=name == "$or")


def _field(key: str, wanted: Any, needle: dict[str, Any]) -> Iterator[Filter]:
    """What the field `key` must be: put into `needle`, or a filter of its own."""
    if isinstance(wanted, Mapping) and any(isinstance(name, str) and name.startswith("$") for name in wanted):
        if len(wanted) != 1:
            raise InvalidFilter(f"{key!r} has several operators")
        [(operator, operand)] = wanted.items()
        if operator == "$contains":
            operands = operand if isinstance(operand, list | tuple | set | frozenset) else [operand]
            if not operands:
                raise InvalidFilter(f"$contains of {key!r} names no value")
            needle[key] = [_plain(key, each) for each in operands]
            return
        if operator != "$eq":
            raise InvalidFilter(f"{key!r} has the unknown operator {operator!r}; there are $eq and $contains")
        wanted = operand
    plain = _plain(key, wanted)
    if isinstance(plain, dict | list):
        yield Member(key, encode(plain).decode())
    else:
        needle[key] = plain


def _plain(key: str, value: Any) -> Any:
    """`value` as JSON has it. Anything that is not JSON is refused: as null it might match what it should not."""
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(key, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(key, inner) for inner in value]
    raise InvalidFilter(f"{key!r} is compared with a {type(value).__name__}, which is not JSON")
