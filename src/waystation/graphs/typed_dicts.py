"""JSON Schema for types that hold a ``typing.TypedDict``.

Before Python 3.12 Pydantic takes only the TypedDict of typing_extensions, while most graphs declare their state with that of
typing. Here such types are rebuilt, at any depth, before Pydantic sees them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, cast, get_args, get_origin

import typing_extensions
from pydantic import TypeAdapter
from typing_extensions import ReadOnly, get_type_hints, is_typeddict

__all__ = ["json_schema", "typed_dict"]

_make_typed_dict: Callable[..., Any] = cast(Any, typing_extensions.TypedDict)


def json_schema(type_: Any) -> dict[str, Any]:
    """The JSON Schema of `type_`. Raises what Pydantic raises for types without one."""
    return TypeAdapter(_rebuilt(type_, ()) if sys.version_info < (3, 12) else type_).json_schema()


def typed_dict(name: str, types: dict[str, Any]) -> Any:
    """A TypedDict type of that `name` with these keys, none of them required."""
    return _make_typed_dict(name, types, total=False)


def _rebuilt(type_: Any, within: tuple[Any, ...]) -> Any:
    if type_ in within:
        return Any
    if is_typeddict(type_):
        return _rebuilt_dict(type_, (*within, type_))
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (None, Literal) or not arguments:
        return type_
    if origin is Annotated:
        return Annotated[(_rebuilt(arguments[0], within), *arguments[1:])]
    if origin in (Required, NotRequired, ReadOnly):  # inside an annotation; whoever makes the keys has heeded it
        return _rebuilt(arguments[0], within)
    new = tuple(_rebuilt(argument, within) for argument in arguments)
    if all(was is now for was, now in zip(arguments, new, strict=True)):
        return type_
    return Union[new] if origin in (Union, UnionType) else origin[new]  # noqa: UP007


def _rebuilt_dict(type_: Any, within: tuple[Any, ...]) -> Any:
    keys = {}
    for key, declared in get_type_hints(type_, include_extras=True).items():
        value, required = _unqualified(declared, key in type_.__required_keys__)
        value = _rebuilt(value, within)
        keys[key] = value if required else NotRequired[value]
    new = _make_typed_dict(type_.__name__, keys)
    new.__doc__ = type_.__doc__
    return new


def _unqualified(type_: Any, required: bool) -> tuple[Any, bool]:
    """`type_` without qualifiers, and whether its key is required.

    The qualifier counts over what the TypedDict says of the key (`required`), which did not see it if it was in an annotation
    kept as text.
    """
    while (origin := get_origin(type_)) in (Required, NotRequired, ReadOnly):
        required = required if origin is ReadOnly else origin is Required
        type_ = get_args(type_)[0]
    return type_, required
