"""The graphs of a project, by id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from inspect import signature
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore
from msgspec import Struct

from waystation.config import Config, GraphSpec
from waystation.errors import ConfigError, NotFound
from waystation.graphs.access import AccessContext, AnyGraph, FactoryAccess, StaticAccess
from waystation.graphs.context import context_keys, known_only
from waystation.graphs.factories import Factory
from waystation.graphs.introspection import Introspection
from waystation.graphs.loading import load_graphs
from waystation.graphs.modules import Modules
from waystation.graphs.own import OwnGraph

__all__ = ["Graphs"]


class _Static(Struct, frozen=True):
    access: StaticAccess
    context_keys: frozenset[str] | None


class Graphs:
    """Every graph of a project: described by its spec, opened for use with `open`."""

    def __init__(
        self, specs: Mapping[str, GraphSpec], loaded: Mapping[str, AnyGraph | Factory], modules: Modules
    ) -> None:
        self.modules = modules
        """The project's modules, for what else is loaded from them."""
        self._specs = dict(specs)
        self._factories = {key: graph for key, graph in loaded.items() if isinstance(graph, Factory)}
        self._static = {
            key: _Static(StaticAccess(graph), context_keys(graph.context_schema))
            for key, graph in loaded.items()
            if not isinstance(graph, Factory)
        }
        self._own: dict[str, OwnGraph] = {}
        self._store: BaseStore | None = None
        self._saver: BaseCheckpointSaver[Any] | None = None
        self.introspection = Introspection(self)
        """Schemas and drawings; kept for graphs that are not made by a factory."""

    @classmethod
    def load(cls, config: Config) -> Graphs:
        """Import every graph of `config`. Raises GraphLoadError naming graph, file, line and cause (spec 17).

        The project's ``env`` variables that the process does not have are put into it first, and the project's directories
        onto ``sys.path``: graphs expect both.
        """
        for name, value in config.env.items():
            os.environ.setdefault(name, value)
        modules = Modules(config.project_dir, config.dependencies)
        return cls(config.graphs, load_graphs(config, modules), modules)

    def attach(self, store: BaseStore | None, saver: BaseCheckpointSaver[Any] | None = None) -> None:
        """Give every graph the server's `store`, and `saver` as the checkpointer for uses whose config names none."""
        self._store = store
        self._saver = saver
        for static in self._static.values():
            static.access.graph.store = store
            static.access.graph.checkpointer = saver

    def adopt(self, graph_id: str, graph: OwnGraph) -> None:
        """Serve a graph of the server's own. Raises ConfigError if the project has one with this id."""
        if graph_id in self._specs:
            raise ConfigError(f"graphs: {graph_id!r} is a graph of the server's own; give the project's another id.")
        self._own[graph_id] = graph

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the project's graphs, in the order of the configuration."""
        return tuple(self._specs)

    @property
    def served(self) -> tuple[str, ...]:
        """The ids of all graphs, those of the server's own last."""
        return (*self._specs, *self._own)

    def own(self, graph_id: str) -> OwnGraph | None:
        """The graph of the server's own with this id, if it is one."""
        return self._own.get(graph_id)

    def __contains__(self, graph_id: object) -> bool:
        """Whether clients may name it: it is one of the project's."""
        return graph_id in self._specs

    def spec(self, graph_id: str) -> GraphSpec:
        """The configuration's entry of the graph. Raises NotFound."""
        try:
            return self._specs[graph_id]
        except KeyError:
            raise _unknown(graph_id) from None

    def is_static(self, graph_id: str) -> bool:
        """Whether the graph exists once and for all, rather than being made by a factory. Raises NotFound."""
        if graph_id in self._own:
            return False
        self.spec(graph_id)
        return graph_id in self._static

    def name(self, graph_id: str) -> str:
        """What the graph's default assistant is called: the graph's own name, else the graph id (spec 2.2)."""
        self.spec(graph_id)
        static = self._static.get(graph_id)
        return graph_id if static is None else static.access.graph.name

    def description(self, graph_id: str) -> str | None:
        """The description of the graph's default assistant (spec 2.2)."""
        return self.spec(graph_id).description

    def open(
        self,
        graph_id: str,
        *,
        config: RunnableConfig,
        access_context: AccessContext,
        store: BaseStore | None = None,
        user: Any = None,
        context: Any = None,
    ) -> AbstractAsyncContextManager[AnyGraph]:
        """The graph, for use inside ``async with``. Raises NotFound, and on entering NotAGraph (spec 17.2).

        Everything but `graph_id` and `store` is for factories: `config` and `user`, the run's `context` (passed on only for
        ``threads.create_run``). With a `store` the graph has that instead of the attached one. What a factory raises passes
        through unchanged. A graph of the server's own takes the `config` and no other store than its own.
        """
        static = self._static.get(graph_id)
        if static is not None:
            return static.access if store is None or store is self._store else static.access.with_store(store)
        own = self._own.get(graph_id)
        if own is not None:
            return own.open(config=config, access_context=access_context, saver=self._saver)
        factory = self._factories.get(graph_id)
        if factory is None:
            raise _unknown(graph_id)
        return FactoryAccess(
            graph_id,
            factory,
            config,
            access_context,
            store=store if store is not None else self._store,
            saver=self._saver,
            user=user,
            context=context,
        )

    def stream_transformers(self, graph_id: str) -> list[Any]:
        """What the module of the graph has as ``stream_transformers``: factories of stream transformers (spec 13.3). That is a
        sequence of them, a function without parameters that returns one, or a factory. Raises NotFound."""
        if graph_id in self._own:
            return []
        given = getattr(self.modules.load(graph_id, self.spec(graph_id).reference)[0], "stream_transformers", None)
        if callable(given) and not isinstance(given, type) and not signature(given).parameters:
            given = given()
        return [] if given is None else [given] if callable(given) else list(given)

    def known_context(self, graph_id: str, graph: AnyGraph, context: Mapping[str, Any]) -> dict[str, Any]:
        """`context` without the keys that the opened `graph` does not declare, if it declares any (spec 5.3)."""
        static = self._static.get(graph_id)
        return known_only(context, context_keys(graph.context_schema) if static is None else static.context_keys)


def _unknown(graph_id: str) -> NotFound:
    return NotFound(f"There is no graph {graph_id!r} on this server.")
