"""The OpenAPI document of the whole server (spec 16)."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from msgspec.structs import replace

from waystation import __version__
from waystation.auth.caller import Documentation
from waystation.http.authentication import OPEN_PATHS
from waystation.http.openapi import describe
from waystation.http.router import Route

__all__ = ["openapi_document"]

DESCRIPTION = "An open, self-hosted server that speaks the LangGraph Agent Server API."


def openapi_document(
    routes: Iterable[Route],
    graph_ids: Iterable[str],
    prefix: str = "",
    security: Documentation | None = None,
    hidden: Iterable[str] = (),
) -> dict[str, Any]:
    """What `routes` serve, with the ids of the graphs as the values of every ``graph_id``, how to authenticate (without
    `security` nobody has to), and without the properties that are `hidden`."""
    if prefix:
        below = (route for route in routes if route.path.startswith(f"{prefix}/"))
        routes = [replace(route, path=route.path.removeprefix(prefix)) for route in below]
    described = deepcopy(describe(routes))  # routes share parts of their descriptions
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Waystation", "version": __version__, "description": DESCRIPTION},
        "tags": [{"name": name} for name in _tags(described["paths"])],
        "security": [],
        **described,
    }
    if prefix:
        document["servers"] = [{"url": prefix}]
    if security is not None:
        _secure(document, security)
    for name in hidden:
        _hide(document, name)
    if known := sorted(graph_ids):
        _fill_in(document, known)
    return document


def _secure(document: dict[str, Any], security: Documentation) -> None:
    document["security"] = list(security.security)
    if security.schemes:
        document["components"]["securitySchemes"] = dict(security.schemes)
    for path, operations in document["paths"].items():
        if path in OPEN_PATHS:
            for described in operations.values():
                described["security"] = []
    for path, additions in security.paths.items():
        for method, addition in additions.items():
            if method in document["paths"].get(path, ()):
                document["paths"][path][method].update(addition)


def _tags(paths: dict[str, Any]) -> list[str]:
    """All tags in the order of their first operation."""
    found: dict[str, None] = {}
    for operations in paths.values():
        for operation in operations.values():
            found.update(dict.fromkeys(operation["tags"]))
    return list(found)


def _hide(part: Any, name: str) -> None:
    """Take the property `name` away from every object."""
    if isinstance(part, dict):
        if isinstance(properties := part.get("properties"), dict):
            properties.pop(name, None)
        for value in part.values():
            _hide(value, name)
    elif isinstance(part, list):
        for item in part:
            _hide(item, name)


def _fill_in(part: Any, graph_ids: list[str]) -> None:
    if isinstance(part, list):
        for item in part:
            _fill_in(item, graph_ids)
    if not isinstance(part, dict):
        return
    properties = part.get("properties")
    if isinstance(properties, dict) and isinstance(properties.get("graph_id"), dict):
        _restrict(properties["graph_id"], graph_ids)
    if part.get("name") == "graph_id" and isinstance(part.get("schema"), dict):
        _restrict(part["schema"], graph_ids)
    for value in part.values():
        _fill_in(value, graph_ids)


def _restrict(schema: dict[str, Any], graph_ids: list[str]) -> None:
    """Let the string of `schema`, or its variant that is one, be one of the ids."""
    for variant in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if variant.get("type") == "string":
            variant["enum"] = graph_ids
