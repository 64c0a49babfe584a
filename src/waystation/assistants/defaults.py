"""The assistant that every graph gets by itself (spec 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import Connection

from waystation.assistants import queries
from waystation.auth.access import EVERYTHING

if TYPE_CHECKING:
    from waystation.graphs import Graphs

__all__ = ["assistant_id_for_graph", "install"]

NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""As in the official servers; none of the RFC 4122 namespaces, despite the likeness."""

SYSTEM = {"created_by": "system"}


@cache
def assistant_id_for_graph(graph_id: str) -> str:
    """The id of the system-created assistant of a graph."""
    return str(uuid5(NAMESPACE, graph_id))


def install(conn: Connection, graphs: Graphs, now: int, configs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Create the missing assistants of `graphs`, and carry a changed name or description into the existing ones.

    `configs` are default configs by graph id. An assistant is only changed to a name and description that none of its
    versions ever had: what somebody has edited since survives a restart.
    """
    for graph_id in graphs.ids:
        assistant_id = assistant_id_for_graph(graph_id)
        name, description = graphs.name(graph_id), graphs.description(graph_id)
        current = queries.find(conn, assistant_id, EVERYTHING)
        if current is None:
            config = dict((configs or {}).get(graph_id, {}))
            new = queries.Content(graph_id, name, description, config, dict(config.get("configurable") or {}), SYSTEM)
            # Another process that starts at the same time may be quicker.
            queries.create(conn, assistant_id, new, "do_nothing", now, EVERYTHING, shared=True)
        elif not queries.was_called(conn, assistant_id, name, description):
            queries.patch(conn, assistant_id, queries.Patch(name=name, description=description), now, EVERYTHING)
