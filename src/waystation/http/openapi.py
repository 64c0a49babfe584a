"""The OpenAPI description of the routes: what each says of itself, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from waystation.http.router import Route

__all__ = ["describe", "operation"]

REF = "#/components/schemas/{model}"

_ERROR = {"title": "Error", "type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}

_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


def operation(
    summary: str,
    body: type[BaseModel] | None = None,
    answer: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    parameters: Sequence[Mapping[str, Any]] = (),
    streams: bool = False,
) -> dict[str, Any]:
    """What a route says of itself, for its decorator: the JSON schema of its answer (one with a ``title`` becomes a component
    of the document), its query and header `parameters`, and whether it answers with an event stream."""
    return {
        "summary": summary,
        "body": body,
        "answer": answer,
        "status": status,
        "parameters": parameters,
        "streams": streams,
    }


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI paths and components of `routes`, but for those that are hidden."""
    routes = [route for route in routes if not route.description.get("hidden")]
    models = list(dict.fromkeys(body for route in routes if (body := route.description.get("body")) is not None))
    schemas, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    components: dict[str, Any] = dict(definitions.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        body = route.description.get("body")
        described = _operation(route, schemas[body, "validation"] if body is not None else None, components)
        paths.setdefault(route.path, {})[route.method.lower()] = described
    return {"paths": paths, "components": {"schemas": dict(sorted(components.items()))}}


def _operation(route: Route, body: Mapping[str, Any] | None, components: dict[str, Any]) -> dict[str, Any]:
    said = route.description
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": _path_schema(name)} for name in names),
        *said.get("parameters", ()),
    ]
    described: dict[str, Any] = {
        "tags": list(route.tags),
        "summary": said.get("summary", ""),
        "operationId": route.endpoint.__name__,
        "responses": _responses(said, components),
    }
    if parameters:
        described["parameters"] = parameters
    if body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _path_schema(name: str) -> dict[str, Any]:
    return {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string"}


def _responses(said: Mapping[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": said.get("summary", "")}
    if said.get("streams"):
        success["content"] = _STREAM
    elif said.get("answer") is not None:
        success["content"] = {"application/json": {"schema": _hoisted(deepcopy(said["answer"]), components)}}
    failure = {
        "description": "What was wrong",
        "content": {"application/json": {"schema": _hoisted(deepcopy(_ERROR), components)}},
    }
    return {str(said.get("status", 200)): success, "4XX": failure}


def _hoisted(schema: Any, components: dict[str, Any]) -> Any:
    """`schema` with every part that has a title moved to the components."""
    if isinstance(schema, list):
        return [_hoisted(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    replaced = {key: _hoisted(part, components) for key, part in schema.items()}
    title = replaced.get("title")
    if isinstance(title, str):
        components[title] = replaced
        return {"$ref": REF.format(model=title)}
    return replaced
