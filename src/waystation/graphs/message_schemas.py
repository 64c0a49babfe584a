"""Conversations in the JSON Schema of a graph's input: which properties take LangChain messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from waystation.graphs.schemas import JsonSchema

__all__ = ["MESSAGES", "is_conversation", "properties_of", "root_of", "used_definitions"]

MESSAGES = "messages"
"""The property by which an agent takes a conversation."""

REF = "#/$defs/"


def root_of(schema: JsonSchema) -> JsonSchema:
    """`schema` without a reference at its root; its definitions stay with it."""
    target = _target(schema, _definitions(schema))
    return schema if target is None else {**target, "$defs": _definitions(schema)}


def properties_of(schema: JsonSchema) -> Mapping[str, Any]:
    """The properties of an object schema."""
    properties = root_of(schema).get("properties")
    return properties if isinstance(properties, Mapping) else {}


def is_conversation(part: Any, schema: JsonSchema) -> bool:
    """Whether `part` of `schema` is a list of messages."""
    definitions = _definitions(schema)
    return any(
        each.get("type") == "array" and any(_is_message(item) for item in _choices(each.get("items"), definitions))
        for each in _choices(part, definitions)
    )


def used_definitions(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the `definitions` that `schema` refers to, directly or not."""
    used: dict[str, Any] = {}
    found = list(_references(schema))
    while found:
        name = found.pop()
        if name in definitions and name not in used:
            used[name] = definitions[name]
            found += _references(definitions[name])
    return used


def _is_message(schema: Mapping[str, Any]) -> bool:
    title = str(schema.get("title", ""))
    return title.endswith(("Message", "MessageChunk")) and {"content", "type"} <= set(schema.get("properties") or ())


def _choices(part: Any, definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas that `part` offers: itself, what it refers to, and the members of unions."""
    if not isinstance(part, Mapping):
        return
    yield _target(part, definitions) or part
    for union in ("anyOf", "oneOf"):
        for member in part.get(union) or ():
            yield from _choices(member, definitions)


def _target(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any] | None:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(REF):
        found: dict[str, Any] | None = definitions.get(reference.removeprefix(REF))
        return found
    return None


def _definitions(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("$defs") or {}
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)
    elif isinstance(schema, Mapping):
        for key, each in schema.items():
            if key == "$ref" and isinstance(each, str) and each.startswith(REF):
                yield each.removeprefix(REF)
            elif key != "$defs":
                yield from _references(each)
