"""Writing state: updates are drafted with the graph, then committed with the thread's row in one transaction (spec 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.constants import END
from langgraph.errors import EmptyInputError, InvalidUpdateError
from langgraph.types import Command, Send, StateUpdate
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.encoding import encode, to_plain
from waystation.errors import BadInput, Conflict, NotFound
from waystation.graphs import AnyGraph
from waystation.runs import lifecycle
from waystation.runs.errors import sanitise
from waystation.threads.draft import Draft
from waystation.threads.snapshot import interrupts_by_task, thread_state
from waystation.threads.state_queries import StateSource, state_source
from waystation.threads.thread_graph import opened, state_config
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Requirement", "UnknownGraph", "write_supersteps"]

Requirement = Callable[[Connection, str], None]
"""Raises Conflict unless the thread with this id may be written to, in the transaction that does."""

ATTEMPTS = 5
"""How often a write is drafted anew because another write to the thread was committed first."""


class UnknownGraph(BadInput):
    """The thread has no graph, or one that this server does not have."""


async def write_supersteps(
    server: Server,
    access: Access,
    source: StateSource,
    address: Mapping[str, Any],
    supersteps: Sequence[Sequence[StateUpdate]],
    configurable: Mapping[str, Any] | None = None,
    require: Requirement = lifecycle.require_no_run_in_flight,
) -> RunnableConfig:
    """Apply `supersteps` on top of the checkpoint at `address`, all or none of them; returns the last new checkpoint.

    Recomputes the thread's row and tells the thread's stream. Raises UnknownGraph, BadInput for an unknown node and values
    that the graph refuses, Conflict while a run is in flight, NotFound for a thread deleted meanwhile.
    """
    graph_id = source.graph_id
    if graph_id is None:
        raise UnknownGraph(
            f"Thread {source.thread_id} has no graph: run one on it, or create it with metadata.graph_id."
        )
    config = state_config(source, address, configurable)
    newest = state_config(source, {"thread_id": source.thread_id, "checkpoint_ns": ""}, configurable)
    for _ in range(ATTEMPTS):
        draft = Draft(server.saver, {"graph_id": graph_id, "thread_id": source.thread_id})
        written = await _apply(server, source.workspace, graph_id, config, draft, supersteps)
        async with opened(server, graph_id, newest, "threads.read", draft, workspace=source.workspace) as graph:
            snapshot = await graph.aget_state(newest)
        state = {**thread_state(snapshot), "values": orjson.Fragment(encode(snapshot.values))}
        interrupts = to_plain(interrupts_by_task(snapshot))
        if await server.db.write(_commit, source.thread_id, access, draft, state, interrupts, require):
            server.streams.publish_state(source.thread_id, state)
            return written
    raise Conflict(f"Other writes to the state of thread {source.thread_id} keep coming first; try again.")


async def _apply(
    server: Server,
    workspace: str,
    graph_id: str,
    config: RunnableConfig,
    draft: Draft,
    supersteps: Sequence[Sequence[StateUpdate]],
) -> RunnableConfig:
    try:
        async with opened(server, graph_id, config, "threads.update", draft, workspace=workspace) as graph:
            _require_targets(graph, supersteps)
            return await graph.abulk_update_state(config, supersteps)
    except NotFound as error:
        raise UnknownGraph(error.message) from error
    except (ValueError, InvalidUpdateError, EmptyInputError) as error:
        raise BadInput(sanitise(error)["message"]) from error


def _require_targets(graph: AnyGraph, supersteps: Sequence[Sequence[StateUpdate]]) -> None:
    """Refuse a command that goes to a node the graph does not have: LangGraph would drop it with a line in the log."""
    for update in (update for superstep in supersteps for update in superstep):
        if not isinstance(update.values, Command):
            continue
        for target in update.values.goto:
            node = target.node if isinstance(target, Send) else target
            if node not in graph.nodes and node != END:
                raise BadInput(f"Node {node!r}, to which a command goes, does not exist.")


def _commit(
    conn: Connection,
    thread_id: str,
    access: Access,
    draft: Draft,
    state: Mapping[str, Any],
    interrupts: dict[str, Any],
    require: Requirement,
) -> bool:
    """Record a draft and the thread's row; False, and nothing recorded, when the draft does not start from the newest state.

    Raises NotFound, Conflict.
    """
    state_source(conn, thread_id, access)
    require(conn, thread_id)
    if not draft.is_current(conn):
        return False
    draft.record(conn)
    lifecycle.record_state(
        conn, thread_id, values=state["values"], interrupts=interrupts, pending=bool(state["next"]), now=now_us()
    )
    return True
