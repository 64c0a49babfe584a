"""The graph by which agents run."""

from __future__ import annotations

__all__ = ["MANAGED_GRAPH"]

MANAGED_GRAPH = "managed-deep-agent"
"""The id of the graph that is every agent's; which agent, an assistant says."""
