"""Waystation: an open, self-hosted server for LangGraph and Deep Agents."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("waystation")
