"""The graphs of a project: loading them, building them by factory, describing and drawing them."""

from __future__ import annotations

from waystation.graphs.access import AccessContext, AnyGraph
from waystation.graphs.registry import Graphs

__all__ = ["AccessContext", "AnyGraph", "Graphs"]
