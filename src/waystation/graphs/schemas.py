"""What a graph takes, gives and keeps, as JSON Schemas (spec 2.5, 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from pydantic.errors import PydanticUserError

from waystation.graphs.typed_dicts import json_schema, typed_dict

__all__ = ["schemas", "subgraph_schemas"]

log = structlog.get_logger("waystation.graphs")

JsonSchema = dict[str, Any]

_INTERNAL = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "checkpointer", "store")
"""Configurables that the server sets, not the user; so are those that begin with two underscores."""


def schemas(graph: Any) -> dict[str, JsonSchema | None]:
    """The five schemas of `graph`, without ``graph_id``; a part that cannot be generated is None (spec 2.5)."""
    return {
        "input_schema": _part("input_schema", graph, _input),
        "output_schema": _part("output_schema", graph, _output),
        "state_schema": _part("state_schema", graph, _state),
        "config_schema": _part("config_schema", graph, _config),
        "context_schema": _part("context_schema", graph, _context),
    }


def subgraph_schemas(
    graph: Pregel[Any, Any, Any, Any], namespace: str | None = None, recurse: bool = False
) -> dict[str, dict[str, JsonSchema | None]]:
    """The `schemas` of the static subgraphs of `graph` by namespace (segments joined with ``|``), all or only `namespace`."""
    return {
        name: schemas(subgraph)
        for name, subgraph in graph.get_subgraphs(recurse=recurse)
        if namespace is None or name == namespace
    }


def _part(name: str, graph: Any, make: Callable[[Any], JsonSchema | None]) -> JsonSchema | None:
    try:
        return make(graph)
    except Exception as error:  # noqa: BLE001  a schema runs hooks of arbitrary user types
        log.debug("a schema cannot be generated", graph=getattr(graph, "name", None), part=name, error=repr(error))
        return None


def _input(graph: Any) -> JsonSchema:
    return _declared(
        graph, graph.get_input_jsonschema, getattr(graph, "input_channels", None), "input_schema", "InputType"
    )


def _output(graph: Any) -> JsonSchema:
    return _declared(
        graph, graph.get_output_jsonschema, getattr(graph, "output_channels", None), "output_schema", "OutputType"
    )


def _declared(
    graph: Any, generate: Callable[[], JsonSchema], channels: Any, builder_attribute: str, graph_attribute: str
) -> JsonSchema:
    """LangGraph's own schema, or one made here of the same type when that fails on a TypedDict of typing."""
    try:
        return generate()
    except PydanticUserError as error:
        if error.code != "typed-dict-version":
            raise
    if (builder := getattr(graph, "builder", None)) is not None:
        return json_schema(getattr(builder, builder_attribute))
    if isinstance(channels, str):
        return json_schema(getattr(graph, graph_attribute))
    return json_schema(typed_dict(graph.get_name(), {key: graph.channels[key].ValueType for key in channels}))


def _state(graph: Pregel[Any, Any, Any, Any]) -> JsonSchema:
    types = {}
    for key in graph.stream_channels_list:
        channel = graph.channels[key]
        if isinstance(channel, BaseChannel):
            types[key] = channel.ValueType
    name = graph.get_name("State")
    if (whole := _described(typed_dict(name, types))) is not None:
        return whole
    return json_schema(
        typed_dict(name, {key: Any if _described(type_) is None else type_ for key, type_ in types.items()})
    )


def _described(type_: Any) -> JsonSchema | None:
    """The JSON Schema of `type_`, if it has one."""
    try:
        return json_schema(type_)
    except Exception as error:  # noqa: BLE001  a schema runs hooks of arbitrary user types
        log.debug("a type has no JSON Schema", type=repr(type_), error=repr(error))
        return None


def _context(graph: Pregel[Any, Any, Any, Any]) -> JsonSchema | None:
    try:
        return graph.get_context_jsonschema()
    except PydanticUserError as error:
        if error.code != "typed-dict-version":
            raise
    return json_schema(graph.context_schema)


def _config(graph: Pregel[Any, Any, Any, Any]) -> JsonSchema:
    """The ``configurable`` part: LangGraph declares it by the context schema."""
    declared = _context(graph)
    return {} if declared is None else _without_internals(declared)


def _without_internals(schema: JsonSchema) -> JsonSchema:
    properties: Mapping[str, Any] = schema.get("properties", {})
    kept = {key: value for key, value in properties.items() if not key.startswith("__") and key not in _INTERNAL}
    if len(kept) == len(properties):
        return schema
    result = {**schema, "properties": kept}
    if "required" in schema:
        result["required"] = [key for key in schema["required"] if key in kept]
    return result
