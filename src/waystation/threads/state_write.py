"""Writing state: updates are drafted with the graph, then committed with the thread's row in one transaction (spec 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.constants import END
from langgraph.errors import EmptyInputError, InvalidUpdateError
from langgraph.pregel import Pregel
from langgraph.types import Command, Send, StateSnapshot, StateUpdate
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.encoding import to_plain
from waystation.errors import BadInput, Conflict, NotFound, WaystationError
from waystation.runs import lifecycle
from waystation.runs.errors import sanitise
from waystation.threads.draft import Draft
from waystation.threads.snapshot import interrupts_by_task, thread_state
from waystation.threads.state_queries import StateSource, state_source
from waystation.threads.thread_graph import opened, state_config
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["UnknownGraph", "write_supersteps"]

ATTEMPTS = 5
"""How often a write is drafted anew because another write to the thread was committed first."""


class UnknownGraph(BadInput):
    """The thread's graph is not one of this server's."""


async def write_supersteps(
    server: Server,
    access: Access,
    source: StateSource,
    address: Mapping[str, Any],
    supersteps: Sequence[Sequence[StateUpdate]],
    configurable: Mapping[str, Any] | None = None,
) -> RunnableConfig:
    """Apply `supersteps` on top of the checkpoint at `address`, all or none of them; returns the last new checkpoint.

    Recomputes the thread's row and tells the thread's stream. Raises UnknownGraph, BadInput for an unknown node and values
    that the graph refuses, Conflict while a run is in flight, NotFound for a thread deleted meanwhile.
    """
    for _ in range(ATTEMPTS):
        draft = Draft(server.saver, {"graph_id": source.graph_id, "thread_id": source.thread_id})
        config = state_config(source, address, configurable)
        written = await _apply(server, source, config, draft, supersteps)
        snapshot = await _resulting(server, source, configurable, draft)
        state = to_plain(thread_state(snapshot))
        interrupts = to_plain(interrupts_by_task(snapshot))
        if await server.db.write(_commit, source.thread_id, access, draft, state, interrupts):
            server.streams.publish_state(source.thread_id, state)
            return written
    raise Conflict(f"Other writes to the state of thread {source.thread_id} keep coming first; try again.")


async def _apply(
    server: Server,
    source: StateSource,
    config: RunnableConfig,
    draft: Draft,
    supersteps: Sequence[Sequence[StateUpdate]],
) -> RunnableConfig:
    try:
        async with opened(server, source, config, "threads.update", draft) as graph:
            _require_targets(graph, supersteps)
            return await graph.abulk_update_state(config, supersteps)
    except NotFound as error:
        raise UnknownGraph(error.message) from error
    except (ValueError, InvalidUpdateError, EmptyInputError) as error:
        raise BadInput(sanitise(error)["message"]) from error


def _require_targets(graph: Pregel[Any, Any, Any, Any], supersteps: Sequence[Sequence[StateUpdate]]) -> None:
    """Refuse a command that goes to a node the graph does not have: LangGraph would drop it with a line in the log."""
    for update in (update for superstep in supersteps for update in superstep):
        if not isinstance(update.values, Command):
            continue
        for target in update.values.goto:
            node = target.node if isinstance(target, Send) else target
            if node not in graph.nodes and node != END:
                raise BadInput(f"Node {node!r}, to which a command goes, does not exist.")


async def _resulting(
    server: Server, source: StateSource, configurable: Mapping[str, Any] | None, draft: Draft
) -> StateSnapshot:
    """The newest state of the thread as it will be: what its row shows, whichever namespace was written."""
    config = state_config(source, {"thread_id": source.thread_id, "checkpoint_ns": ""}, configurable)
    async with opened(server, source, config, "threads.read", draft) as graph:
        return await graph.aget_state(config)
