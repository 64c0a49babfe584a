"""Bodies that a schema does not allow, made from one that it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

from tests.contract.contract import problems, resolve

__all__ = ["HOSTILE", "bad_bodies", "hostile_bodies", "sample"]

Path = tuple[str | int, ...]

WRONG_TYPES: list[Any] = [7, 1.5, True, "text", [], [7], {}, {"k": 1}, "2026-01-01"]
"""One of each JSON type; what a property's schema allows is left out."""


def _nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth // 2):
        value = {"a": [value]}
    return value


HOSTILE: list[Any] = [
    "\x00",
    "\ud800",
    "%s %n {0} ${x}",
    "' OR 1=1; --",
    "$..[*]",
    "x" * 70_000,
    -1,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    {"\x00": "\ud800"},
    _nested(150),
    {f"k{number}": number for number in range(2000)},
    {"$where": 1, "": {"": None}, "a.b": [[]], "'": {'"': "\\"}},
    [None, [], {}, "\x00"],
    None,
    "",
    "*",
    [""] * 50,
]
"""Values that servers choke on. They may be taken or refused, but nothing may break."""


def bad_bodies(schema: Any, valid: Any) -> Iterator[tuple[str, Any]]:
    """Where and how a body is wrong: each property in turn of a wrong type, out of range, misspelt or missing."""
    for path, value in _bad_values(schema, ()):
        body = _replaced(valid, schema, path, value)
        if problems(body, schema):
            yield f"{'.'.join(map(str, path)) or 'body'}={json.dumps(value)[:40]}", body
    for path in _required(schema, ()):
        body = _replaced(valid, schema, path, None)
        _at(body, path[:-1]).pop(path[-1])
        yield f"{'.'.join(map(str, path))} missing", body


def hostile_bodies(schema: Any, valid: Any) -> Iterator[tuple[str, Any]]:
    """Each property in turn with each of the hostile values."""
    for path in _paths(schema, ()):
        for value in HOSTILE:
            yield f"{'.'.join(map(str, path))}={json.dumps(value)[:40]}", _replaced(valid, schema, path, value)


def sample(schema: Any) -> Any:
    """A small instance of `schema`."""
    schema = resolve(schema)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and "properties" not in schema:
            return sample(schema[keyword][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "uuid":
        return "00000000-0000-4000-8000-000000000000"
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: sample(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [sample(schema["items"]) for _ in range(schema.get("minItems", 0))]
    return {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}[kind]


def _bad_values(schema: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    for value in WRONG_TYPES:
        if problems(value, schema):
            yield path, value
    plain = resolve(schema)
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in plain:
            yield path, plain[bound] + step
    if "maxProperties" in plain:
        yield path, {f"k{number}": "values.x" for number in range(plain["maxProperties"] + 1)}
    if plain.get("minLength"):
        yield path, ""
    for inner, position in _inside(plain):
        yield from _bad_values(inner, (*path, position))


def _inside(plain: Any) -> Iterator[tuple[Any, str | int]]:
    """The schemas of an object's properties and of an array's items, with where they apply."""
    for name, inner in plain.get("properties", {}).items():
        if isinstance(inner, dict):
            yield inner, name
    if plain.get("items") and plain.get("type") == "array":
        yield plain["items"], 0
    for option in plain.get("anyOf", ()):
        yield from (pair for pair in _inside(resolve(option)) if "anyOf" not in resolve(option))


def _paths(schema: Any, path: Path) -> Iterator[Path]:
    if path:
        yield path
    for inner, position in _inside(resolve(schema)):
        yield from _paths(inner, (*path, position))


def _required(schema: Any, path: Path) -> Iterator[Path]:
    plain = resolve(schema)
    if "anyOf" not in plain:
        for name in plain.get("required", ()):
            yield (*path, name)
    for inner, position in _inside(plain):
        yield from _required(inner, (*path, position))


def _replaced(valid: Any, schema: Any, path: Path, value: Any) -> Any:
    """`valid` with `value` at `path`, and whatever it needs on the way there."""
    if not path:
        return deepcopy(value)
    body = deepcopy(valid)
    here, plain = body, resolve(schema)
    for step, following in pairwise(path):
        inner = _inner(plain, step, following)
        present = here[step] if (step in here if isinstance(step, str) else len(here) > step) else None
        if not isinstance(present, list if isinstance(following, int) else dict):
            _put(here, step, sample(inner) if isinstance(following, str) else [])
        here, plain = here[step], inner
    _put(here, path[-1], deepcopy(value))
    return body


def _inner(plain: Any, step: str | int, following: str | int) -> Any:
    """The schema at `step` inside `plain`, of its options the one that `following` leads into."""
    for inner, position in _inside(plain):
        if position == step:
            for option in [resolve(inner), *map(resolve, resolve(inner).get("anyOf", ()))]:
                if any(position == following for _, position in _inside(option)) and "anyOf" not in option:
                    return option
    raise AssertionError(f"no schema at {step}.{following}")


def _put(container: Any, position: str | int, value: Any) -> None:
    if isinstance(position, int):
        container[:] = [value]
    else:
        container[position] = value


def _at(body: Any, path: Path) -> Any:
    for step in path:
        body = body[step]
    return body
