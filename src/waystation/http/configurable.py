"""What a request's headers add to a graph's ``configurable`` (spec 1.5, 1.6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from waystation.auth.user import configurable_of
from waystation.http.authorization import caller_of
from waystation.http.request_id import request_id_of
from waystation.http.selection import selects

__all__ = ["server_configurable"]

SECRET_HEADERS = frozenset({"authorization", "x-api-key", "x-service-key", "x-tenant-id"})
"""Never copied, whatever the configuration includes."""

TRACE_HEADER = "langsmith-trace"


def server_configurable(request: Request) -> dict[str, Any]:
    """The configurables that come from headers: the selected ones by lower-case name, those of a LangSmith trace, and the
    request's id (generated unless ``X-Request-Id`` gives one) as ``langgraph_request_id``; and the authenticated user."""
    headers = request.headers
    configurable: dict[str, Any] = _selected(headers, request.app.state.server.config.http.configurable_headers)
    if TRACE_HEADER in headers:
        configurable[TRACE_HEADER] = headers[TRACE_HEADER]
        configurable.update(_baggage(headers.get("baggage", "")))
    configurable["langgraph_request_id"] = request_id_of(request.scope)
    configurable.update(configurable_of(caller_of(request).described))
    return configurable


def _selected(headers: Mapping[str, str], selection: Mapping[str, Any] | None) -> dict[str, Any]:
    if selection is None:
        return {}
    return {name: value for name, value in headers.items() if name not in SECRET_HEADERS and selects(selection, name)}


def _baggage(header: str) -> dict[str, Any]:
    """The LangSmith entries of a W3C ``baggage`` header. Malformed metadata is left out."""
    found: dict[str, Any] = {}
    for entry in header.split(","):
        name, _, value = entry.partition("=")
        name, text = name.strip(), unquote(value.strip())
        if name == "langsmith-metadata":
            try:
                metadata = json.loads(text)
            except ValueError:
                continue
            if isinstance(metadata, dict):
                found[name] = metadata
        elif name == "langsmith-tags":
            found[name] = text.split(",")
        elif name == "langsmith-project":
            found[name] = text
    return found
