"""Assistants that stand for something else of the server's: written by its feature, in the transactions that change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from waystation.assistants import queries
from waystation.auth.access import EVERYTHING, Access
from waystation.errors import NotFound
from waystation.reserved import strip_configurable

__all__ = ["publish", "republish", "withdraw"]


def publish(
    conn: Connection,
    assistant_id: str,
    graph_id: str,
    workspace: str,
    *,
    name: str,
    description: str | None,
    configurable: Mapping[str, Any],
    metadata: Mapping[str, Any],
    now: int,
) -> None:
    """Make the assistant."""
    own = strip_configurable(configurable)
    content = queries.Content(graph_id, name, description, {"configurable": own} if own else {}, own, metadata)
    queries.create(conn, assistant_id, content, "raise", now, Access(workspace=workspace))


def republish(
    conn: Connection,
    assistant_id: str,
    *,
    name: str,
    description: str | None,
    configurable: Mapping[str, Any],
    metadata: Mapping[str, Any],
    now: int,
) -> None:
    """Make a new version of it. Raises NotFound."""
    changes = queries.Patch(
        name=name, description=description, context=strip_configurable(configurable), metadata=metadata
    )
    queries.patch(conn, assistant_id, changes, now, EVERYTHING)


def withdraw(conn: Connection, assistant_id: str) -> None:
    """Delete it, with its versions and crons, if it is there."""
    try:
        queries.remove(conn, assistant_id, EVERYTHING)
    except NotFound:
        return
