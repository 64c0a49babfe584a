"""Describing graphs by id. What is found out of a graph that exists once is kept: it cannot change."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore

from waystation.graphs.access import AccessContext, AnyGraph
from waystation.graphs.drawing import drawing
from waystation.graphs.inputs import input_keys
from waystation.graphs.schemas import JsonSchema, schemas, subgraph_schemas

__all__ = ["Introspection"]

DEEPEST_KEPT = 16
"""Numeric depths up to this are kept: a client chooses the number and must not be able to fill the memory with it."""


class _Graphs(Protocol):
    def is_static(self, graph_id: str) -> bool: ...

    def open(
        self,
        graph_id: str,
        *,
        config: RunnableConfig,
        access_context: AccessContext,
        store: BaseStore | None = None,
        user: Any = None,
    ) -> AbstractAsyncContextManager[AnyGraph]: ...


class Introspection:
    """Schemas and drawings of the graphs of a registry. Answers are shared: do not modify them.

    `config` (the assistant's), `user` and `store` reach a factory. Every method raises NotFound for an unknown graph and NotAGraph.
    """

    def __init__(self, graphs: _Graphs) -> None:
        self._graphs = graphs
        self._kept: dict[Hashable, Any] = {}

    async def schemas(
        self,
        graph_id: str,
        config: RunnableConfig | None = None,
        user: Any = None,
        store: BaseStore | None = None,
    ) -> dict[str, str | JsonSchema | None]:
        """``graph_id`` and the five schemas of the graph (spec 2.5)."""
        key = ("schemas", graph_id)
        if key in self._kept:
            return self._kept[key]  # type: ignore[no-any-return]
        async with self._open(graph_id, config, user, store) as graph:
            # In a thread: the schemas of message types alone take a tenth of a second.
            found: dict[str, str | JsonSchema | None] = {
                "graph_id": graph_id,
                **await asyncio.to_thread(schemas, graph),
            }
        self._keep(graph_id, key, found)
        return found

    async def subgraph_schemas(
        self,
        graph_id: str,
        namespace: str | None = None,
        recurse: bool = False,
        config: RunnableConfig | None = None,
        user: Any = None,
        store: BaseStore | None = None,
    ) -> dict[str, dict[str, JsonSchema | None]]:
        """The schemas of the graph's subgraphs by namespace: all, or only that at `namespace` (spec 2.6)."""
        key = ("subgraphs", graph_id, recurse)
        found: dict[str, dict[str, JsonSchema | None]] | None = self._kept.get(key)
        if found is None:
            async with self._open(graph_id, config, user, store) as graph:
                found = await asyncio.to_thread(subgraph_schemas, graph, None, recurse)
            self._keep(graph_id, key, found)
        if namespace is None:
            return found
        return {namespace: found[namespace]} if namespace in found else {}

    async def drawing(
        self,
        graph_id: str,
        xray: bool | int = False,
        config: RunnableConfig | None = None,
        user: Any = None,
        store: BaseStore | None = None,
    ) -> dict[str, list[dict[str, Any]]]:
        """The graph's nodes and edges (spec 2.4). Raises UnprocessableInput when it cannot be drawn."""
        key = ("drawing", graph_id, str(xray))
        if key in self._kept:
            return self._kept[key]  # type: ignore[no-any-return]
        async with self._open(graph_id, config, user, store) as graph:
            found = await drawing(graph, xray)
        if xray <= DEEPEST_KEPT:
            self._keep(graph_id, key, found)
        return found

    async def input_keys(
        self,
        graph_id: str,
        config: RunnableConfig | None = None,
        user: Any = None,
        store: BaseStore | None = None,
    ) -> frozenset[str]:
        """The keys that an input of the graph has; none if its input is no object."""
        key = ("input_keys", graph_id)
        found: frozenset[str] | None = self._kept.get(key)
        if found is None:
            async with self._open(graph_id, config, user, store) as graph:
                found = input_keys(graph)
            self._keep(graph_id, key, found)
        return found

    def _open(
        self, graph_id: str, config: RunnableConfig | None, user: Any, store: BaseStore | None
    ) -> AbstractAsyncContextManager[AnyGraph]:
        return self._graphs.open(
            graph_id, config=config or {}, access_context="assistants.read", user=user, store=store
        )

    def _keep(self, graph_id: str, key: Hashable, found: Any) -> None:
        if self._graphs.is_static(graph_id):
            self._kept[key] = found
