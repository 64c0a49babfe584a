"""What a custom app says of its routes, in one OpenAPI document with the API (spec 20)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.schemas import EndpointInfo, SchemaGenerator

from waystation.custom_app.composition import NOT_SHADOWED
from waystation.custom_app.loading import CustomApp
from waystation.encoding import to_plain

__all__ = ["merged"]

log = structlog.get_logger("waystation.custom_app")

TAG = "Custom"
METHODS = ("get", "put", "post", "patch", "delete", "head", "options", "trace")
REF = "#/components/"


def merged(document: dict[str, Any], custom: CustomApp, *, protected: bool) -> dict[str, Any]:
    """`document` with the operations of `custom`, which take the place of the server's on the same path and method. Its operations
    ask for the document's security if they are `protected`."""
    own = _described(custom)
    result = deepcopy(document)
    _make_room(result, own)
    for section, parts in own.get("components", {}).items():
        result.setdefault("components", {}).setdefault(section, {}).update(parts)
    tags = {tag["name"]: tag for tag in (*result.get("tags", ()), *own.get("tags", ()))}
    for path, operations in own.get("paths", {}).items():
        if path in NOT_SHADOWED and path in result["paths"]:
            continue
        there = result["paths"].setdefault(path, {})
        for key, value in operations.items():
            there[key] = value
            if key in METHODS:
                if not value.get("tags"):
                    value["tags"] = [TAG]
                if not protected:
                    value.setdefault("security", own.get("security", []))
                for tag in value["tags"]:
                    tags.setdefault(tag, {"name": tag})
    result["tags"] = list(tags.values())
    if webhooks := own.get("webhooks"):
        result["webhooks"] = webhooks
    return result


def _described(custom: CustomApp) -> dict[str, Any]:
    app: Any = custom.app
    try:
        if not callable(getattr(app, "openapi", None)):
            document: Any = {"paths": dict(_starlette_paths(app))}
        else:
            document = app.openapi() if getattr(app, "openapi_url", None) else {}
        plain: dict[str, Any] = to_plain(document)
        return plain
    except Exception as error:
        log.error("the custom app cannot describe itself; its routes are not in the document", exc_info=error)
        return {}


# --- FastAPI describes itself; of another Starlette application this is what can be said


def _starlette_paths(app: Starlette) -> Iterator[tuple[str, dict[str, Any]]]:
    generator = SchemaGenerator({})
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in generator.get_endpoints(app.router.routes):
        written = generator.parse_docstring(endpoint.func) if "---" in (endpoint.func.__doc__ or "") else {}
        paths.setdefault(endpoint.path, {})[endpoint.http_method] = written or _operation(endpoint)
    yield from paths.items()


def _operation(endpoint: EndpointInfo) -> dict[str, Any]:
    summary = (inspect.getdoc(endpoint.func) or endpoint.func.__name__).partition("\n")[0]
    operation: dict[str, Any] = {"summary": summary, "responses": {"200": {"description": "Successful response"}}}
    names = re.findall(r"{(\w+)}", endpoint.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    return operation


# --- components of one name that are not the same


def _make_room(document: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Give the components of `document` another name where the custom app has one of theirs for something else."""
    renamed: dict[str, str] = {}
    for section, parts in own.get("components", {}).items():
        there = document.get("components", {}).get(section, {})
        for name in [name for name, part in parts.items() if name in there and there[name] != part]:
            free = f"Server{name}"
            while free in there or free in parts:
                free = f"Server{free}"
            there[free] = there.pop(name)
            renamed[f"{REF}{section}/{name}"] = f"{REF}{section}/{free}"
            if section == "securitySchemes":
                _rename_scheme(document, name, free)
    if renamed:
        _refer(document, renamed)


def _refer(part: Any, renamed: Mapping[str, str]) -> None:
    if isinstance(part, list):
        for item in part:
            _refer(item, renamed)
    elif isinstance(part, dict):
        if isinstance(target := part.get("$ref"), str):
            part["$ref"] = renamed.get(target, target)
        for value in part.values():
            _refer(value, renamed)


def _rename_scheme(document: dict[str, Any], name: str, free: str) -> None:
    """Security requirements name schemes without a reference."""
    operations = (each for path in document["paths"].values() for each in path.values() if isinstance(each, dict))
    for holder in (document, *operations):
        if "security" in holder:
            holder["security"] = [
                {free if key == name else key: value for key, value in each.items()} for each in holder["security"]
            ]
