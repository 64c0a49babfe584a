"""Which keys a graph's input has: what other protocols may give it."""

from __future__ import annotations

from typing import Any

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

__all__ = ["input_keys"]


def input_keys(graph: Pregel[Any, Any, Any, Any]) -> frozenset[str]:
    """The keys of an input of `graph`; none if its input is no object. Far cheaper than its JSON Schema."""
    builder = getattr(graph, "builder", None)
    if isinstance(builder, StateGraph):
        return frozenset(builder.schemas.get(builder.input_schema, ())) - {"__root__"}
    channels = graph.input_channels
    return frozenset() if isinstance(channels, str) else frozenset(channels)
