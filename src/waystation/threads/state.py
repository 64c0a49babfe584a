"""The state of a thread: read at any checkpoint, written as if a node had returned it (spec 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langgraph.types import StateUpdate
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.runs import lifecycle
from waystation.threads.checkpoint import checkpoint_of, configurable_of
from waystation.threads.snapshot import empty_state, thread_state
from waystation.threads.state_queries import StateSource, state_source
from waystation.threads.state_write import Requirement, write_supersteps
from waystation.threads.thread_graph import opened, state_config

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["get_state", "update_state"]


async def get_state(
    server: Server,
    access: Access,
    thread_id: str,
    checkpoint: Mapping[str, Any] | None = None,
    subgraphs: bool = False,
    configurable: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The ThreadState at `checkpoint` (default: the newest), with those of pending subgraphs nested if `subgraphs`.

    `configurable` is what the request adds to the graph's config. A thread that never ran and a checkpoint that does not
    exist have an empty state. Raises NotFound for an unknown thread or graph.
    """
    source = await server.db.read(state_source, thread_id, access)
    address = configurable_of(checkpoint, thread_id)
    if source.graph_id is None:
        return empty_state(checkpoint_of({"configurable": address}))
    config = state_config(source, address, configurable)
    async with opened(server, source.graph_id, config, "threads.read", workspace=source.workspace) as graph:
        return thread_state(await graph.aget_state(config, subgraphs=subgraphs))


async def update_state(
    server: Server,
    access: Access,
    thread_id: str,
    body: Mapping[str, Any],
    configurable: Mapping[str, Any] | None = None,
    require: Requirement = lifecycle.require_no_run_in_flight,
) -> dict[str, Any]:
    """Apply a state update, if the thread is as `require` wants it; `body` has the fields of `StateUpdate`. Returns ``{checkpoint, configurable, checkpoint_id}``
    of the new checkpoint (the last two deprecated).

    Raises NotFound for an unknown thread, Conflict while a run is in flight, BadInput for a thread without a known graph, an
    unknown `as_node` and values that the graph refuses.
    """
    source = await server.db.read(_writable_source, thread_id, access)
    checkpoint = {**(body.get("checkpoint") or {})}
    if checkpoint_id := body.get("checkpoint_id"):
        checkpoint["checkpoint_id"] = checkpoint_id
    address = configurable_of(checkpoint, thread_id)
    update = StateUpdate(body.get("values"), body.get("as_node"))
    written = (
        checkpoint_of(await write_supersteps(server, access, source, address, [[update]], configurable, require)) or {}
    )
    return {"checkpoint": written, "configurable": written, "checkpoint_id": written["checkpoint_id"]}


def _writable_source(conn: Connection, thread_id: str, access: Access) -> StateSource:
    source = state_source(conn, thread_id, access)
    lifecycle.require_no_run_in_flight(conn, thread_id)
    return source
