"""What belongs to the server: keys that are dropped from what clients send, never refused (spec 1.3), and a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.errors import UnprocessableInput

__all__ = ["MANAGED_GRAPH", "strip_config", "strip_configurable", "strip_context", "strip_metadata"]

MANAGED_GRAPH = "managed-deep-agent"
"""The graph of the assistants that are Managed Deep Agents."""

_CONFIGURABLE = frozenset(
    {
        "langgraph_auth_user",
        "langgraph_auth_user_id",
        "langgraph_auth_permissions",
        "langgraph_request_id",
        "__langsmith_project__",
        "__langsmith_example_id__",
        "__request_start_time_ms__",
        "__after_seconds__",
        "__context_provided__",
    }
)
_CONFIGURABLE_PREFIXES = ("__pregel_", "__otel_", "__datadog_", "__dd_", "__waystation_")
"""LangGraph's handles, the carriers of traces, and what we tell graphs: a client that could set them would steer the engine."""

_METADATA = frozenset({"thread_id", "assistant_id", "run_id", "cron_id", "counters_since_delta_snapshot"})


def strip_config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A request's `config` without the reserved keys of its ``configurable`` and ``metadata``.

    Raises UnprocessableInput for a key that contains NUL, at any depth.
    """
    if not config:
        return {}
    _refuse_nul(config, "config")
    stripped = dict(config)
    if isinstance(configurable := stripped.get("configurable"), Mapping):
        stripped["configurable"] = strip_configurable(configurable)
    if isinstance(metadata := stripped.get("metadata"), Mapping):
        stripped["metadata"] = strip_metadata(metadata)
    return stripped


def strip_context(context: Mapping[str, Any] | None) -> dict[str, Any]:
    """A request's `context` without reserved keys. Raises UnprocessableInput for a key that contains NUL, at any depth."""
    if not context:
        return {}
    _refuse_nul(context, "context")
    return strip_configurable(context)


def strip_configurable(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, a ``configurable`` or context, without reserved keys."""
    return {
        key: value
        for key, value in values.items()
        if key not in _CONFIGURABLE and not key.startswith(_CONFIGURABLE_PREFIXES)
    }


def strip_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `metadata` of a body that writes, without the keys that the server sets itself."""
    if not metadata:
        return {}
    return {key: value for key, value in metadata.items() if key not in _METADATA}


def _refuse_nul(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if "\0" in key or "\\u0000" in key:
                raise UnprocessableInput(f"A key in {where} contains a NUL character: {key!r}.")
            if isinstance(inner, (Mapping, list)):
                _refuse_nul(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, (Mapping, list)):
                _refuse_nul(inner, where)
