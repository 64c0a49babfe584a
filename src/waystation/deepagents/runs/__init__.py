"""Running agents: on the engine of all runs, by a graph of the server's own (MDA 10, 11, 12)."""

from waystation.deepagents.runs.graph import ManagedGraph

__all__ = ["ManagedGraph"]
