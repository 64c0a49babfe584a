"""The history of a thread: its checkpoints, newest first, as ThreadStates (spec 4.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig

from waystation.auth.access import Access
from waystation.errors import UnprocessableInput
from waystation.threads.checkpoint import configurable_of
from waystation.threads.snapshot import thread_state
from waystation.threads.state_queries import state_source
from waystation.threads.thread_graph import opened, state_config

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["history"]

STRIDE = 10
"""States after which other requests get their turn: each may take a millisecond, and there may be a thousand."""


async def history(
    server: Server,
    access: Access,
    thread_id: str,
    limit: int,
    before: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    checkpoint: Mapping[str, Any] | None = None,
    configurable: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """At most `limit` states, all from one pass over the checkpoints.

    `before` leaves out a checkpoint and all later ones; `metadata` keeps checkpoints whose metadata has these entries;
    `checkpoint` selects a namespace, or with an id that checkpoint alone. A thread without a graph has no history.
    Raises NotFound for an unknown thread or graph, UnprocessableInput for coordinates that contradict each other.
    """
    source = await server.db.read(state_source, thread_id, access)
    address = configurable_of(checkpoint, thread_id)
    bound = _bound(before, address)
    wanted = dict(metadata or {})
    if source.graph_id is None or limit == 0 or wanted.pop("thread_id", thread_id) != thread_id:
        return []
    config = state_config(source, address, configurable)
    async with opened(server, source.graph_id, config, "threads.read", workspace=source.workspace) as graph:
        snapshots = graph.aget_state_history(config, filter=wanted or None, before=bound, limit=limit)
        states: list[dict[str, Any]] = []
        async for snapshot in snapshots:
            states.append(thread_state(snapshot))
            if len(states) % STRIDE == 0:
                await asyncio.sleep(0)
        return states


def _bound(before: Mapping[str, Any] | None, address: dict[str, Any]) -> RunnableConfig | None:
    """`before` as a config. Its namespace selects the history's, in `address`, when the request does not say otherwise."""
    if not before:
        return None
    bound = configurable_of(before, address["thread_id"])
    if namespace := bound["checkpoint_ns"]:
        if address["checkpoint_ns"] not in ("", namespace):
            raise UnprocessableInput("before.checkpoint_ns and checkpoint.checkpoint_ns name different namespaces.")
        address["checkpoint_ns"] = namespace
    return {"configurable": bound} if "checkpoint_id" in bound else None
