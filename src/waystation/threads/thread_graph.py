"""The graph of a thread, opened to read or write the thread's checkpoints."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from waystation.graphs import AnyGraph
from waystation.threads.checkpoint import COORDINATES
from waystation.threads.state_queries import StateSource

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["opened", "state_config"]


def state_config(
    source: StateSource, address: Mapping[str, Any], configurable: Mapping[str, Any] | None
) -> RunnableConfig:
    """The config to open a thread's graph with: the thread's configurables, the request's, and a checkpoint's `address`.

    Only `address` may say which checkpoint is meant: one that an earlier run left in the thread's config must not.
    """
    given = {**source.configurable, **(configurable or {})}
    kept = {name: value for name, value in given.items() if name not in COORDINATES}
    return {"configurable": {**kept, "graph_id": source.graph_id, **address}}


@asynccontextmanager
async def opened(
    server: Server,
    graph_id: str,
    config: RunnableConfig,
    access_context: Literal["threads.read", "threads.update"],
    saver: BaseCheckpointSaver[Any] | None = None,
    *,
    workspace: str,
) -> AsyncIterator[AnyGraph]:
    """The graph, with checkpoints in `saver` (default: the server's) and the store of the thread's `workspace`. Raises NotFound
    for an unknown graph.

    The saver is attached to the graph rather than passed in the config, where it would keep LangGraph from finding the
    subgraph that a checkpoint namespace addresses.
    """
    store = server.store.within(workspace)
    async with server.graphs.open(graph_id, config=config, access_context=access_context, store=store) as graph:
        attached = copy.copy(graph)
        attached.checkpointer = saver or server.saver
        yield attached
