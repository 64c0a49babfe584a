"""Seeding a new thread with supersteps, e.g. those of a thread on another server (spec 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langgraph.types import StateUpdate

from waystation.auth.access import Access
from waystation.errors import BadInput
from waystation.runs.commands import graph_command
from waystation.threads.checkpoint import configurable_of
from waystation.threads.state_models import Superstep, SuperstepUpdate
from waystation.threads.state_queries import state_source
from waystation.threads.state_write import UnknownGraph, write_supersteps

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["seed"]


async def seed(server: Server, access: Access, thread_id: str, supersteps: Sequence[Superstep]) -> str | None:
    """Write `supersteps` to a thread that was just created: all or none of them.

    Returns None, or, when the thread names no graph or an unknown one, why nothing was written: such a thread stays, and
    the text is the ``detail`` of a 201 answer. Raises BadInput for an unknown node and for updates the graph refuses.
    """
    if not supersteps:
        return None
    source = await server.db.read(state_source, thread_id, access)
    updates = [[_state_update(update) for update in superstep.updates] for superstep in supersteps]
    try:
        await write_supersteps(server, access, source, configurable_of(None, thread_id), updates)
    except UnknownGraph as error:
        return f"Thread {thread_id} was created without its supersteps: {error.message}"
    return None


def _state_update(update: SuperstepUpdate) -> StateUpdate:
    command = update.command
    values: Any = update.values
    if command is not None:
        if command.resume is not None:
            raise BadInput(f"command.resume of node {update.as_node!r} has no meaning in a superstep: no node is run.")
        values = graph_command(command.model_dump(exclude={"resume"}))
    return StateUpdate(values, update.as_node)
