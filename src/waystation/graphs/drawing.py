"""Graphs as nodes and edges (spec 2.4)."""

from __future__ import annotations

import re
from typing import Any

from langgraph.pregel import Pregel

from waystation.errors import UnprocessableInput

__all__ = ["drawing", "parse_xray"]


def parse_xray(text: str | None) -> bool | int:
    """The ``xray`` query value: whether, or how many levels deep, to expand subgraphs. Raises UnprocessableInput."""
    match text:
        case None | "false" | "False":
            return False
        case "true" | "True":
            return True
    if re.fullmatch(r"[0-9]{1,9}", text) and (depth := int(text)) > 0:
        return depth
    raise UnprocessableInput(f"Invalid xray {text!r}: it must be true, false or a positive whole number.")


async def drawing(graph: Pregel[Any, Any, Any, Any], xray: bool | int = False) -> dict[str, list[dict[str, Any]]]:
    """``{"nodes": [...], "edges": [...]}`` of `graph`. Raises UnprocessableInput when it cannot be drawn."""
    try:
        drawn = (await graph.aget_graph(xray=xray)).to_json()
    except Exception as error:
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UnprocessableInput(f"The graph {graph.get_name()!r} cannot be drawn: {cause}") from error
    for node in drawn["nodes"]:
        if isinstance(data := node.get("data"), dict):
            data.pop("id", None)
    return drawn
