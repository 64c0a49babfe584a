"""What this server is (spec 16)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from waystation import __version__

__all__ = ["describe_server"]


def describe_server(paths: Iterable[str]) -> dict[str, Any]:
    """The body of ``/info`` for a server that routes `paths`: a family's flag says whether its routes are there."""
    routed = set(paths)
    return {
        "version": __version__,
        "langgraph_py_version": version("langgraph"),
        "flags": {
            "assistants": any(path.endswith("/assistants/search") for path in routed),
            "crons": any(path.endswith("/runs/crons/search") for path in routed),
            "langsmith": False,
            "langsmith_tracing_replicas": False,
            "langsmith_tracing_session_on_runs": False,
        },
        "host": {
            "kind": "self-hosted",
            "project_id": None,
            "host_revision_id": None,
            "revision_id": None,
            "tenant_id": None,
        },
        "metadata": {"server": "waystation"},
    }
