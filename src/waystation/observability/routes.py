"""What a request is called in metrics and traces: by its method and route, so that no client can make up names."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

__all__ = ["NO_ROUTE", "method_of", "template"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

OTHER_METHOD = "OTHER"
NO_ROUTE = "(none)"


def method_of(scope: Scope) -> str:
    """The request's method, or one name for all that HTTP does not know."""
    return scope["method"] if scope["method"] in METHODS else OTHER_METHOD


def template(scope: Scope, above: str) -> str:
    """After the request: the path of the route that took the request as its router declares it, below the path of its mount."""
    route: Any = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if path is None:
        return NO_ROUTE
    below: str = scope.get("root_path", "")
    return below[len(above) :] + str(path)
