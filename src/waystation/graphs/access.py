"""Opening a graph for one use."""

from __future__ import annotations

import copy
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Literal, TypeAlias

import langgraph_sdk.runtime as sdk
import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from waystation.auth.user import AUTH_USER, with_user
from waystation.graphs.context import coerce
from waystation.graphs.factories import Factory, build

__all__ = ["DEFAULT_NAME", "AccessContext", "AnyGraph", "FactoryAccess", "StaticAccess", "adopted"]

log = structlog.get_logger("waystation.graphs")

AnyGraph: TypeAlias = Pregel[Any, Any, Any, Any]
AccessContext = Literal["threads.create_run", "threads.update", "threads.read", "assistants.read"]

DEFAULT_NAME = "LangGraph"
"""The name LangGraph gives a graph that has none."""

SLOW_S = 0.1
"""A factory that takes longer is logged (spec 17.2)."""


class StaticAccess:
    """Access to a graph that exists already: one object serves every use, at the same time too."""

    __slots__ = ("graph",)

    def __init__(self, graph: AnyGraph) -> None:
        self.graph = graph

    def with_store(self, store: BaseStore) -> StaticAccess:
        """Access to the same graph with another store."""
        graph = copy.copy(self.graph)
        graph.store = store
        return StaticAccess(graph)

    async def __aenter__(self) -> AnyGraph:
        return self.graph

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class FactoryAccess:
    """Access to a graph that a factory makes on entering and cleans up on leaving. Raises NotAGraph on entering."""

    __slots__ = ("_stack", "access_context", "config", "context", "factory", "graph_id", "saver", "store", "user")

    def __init__(
        self,
        graph_id: str,
        factory: Factory,
        config: RunnableConfig,
        access_context: AccessContext,
        store: BaseStore | None,
        saver: BaseCheckpointSaver[Any] | None,
        user: Any,
        context: Any,
    ) -> None:
        self.graph_id = graph_id
        self.factory = factory
        self.config = config
        self.access_context = access_context
        self.store = store
        self.saver = saver
        self.user = user
        self.context = context
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> AnyGraph:
        started = time.perf_counter()
        try:
            graph = await build(self.graph_id, self.factory.call(self._config(), self._runtime()), self._stack)
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
        if (seconds := time.perf_counter() - started) > SLOW_S:
            log.warning(
                "slow graph factory",
                graph_id=self.graph_id,
                access_context=self.access_context,
                seconds=round(seconds, 3),
            )
        return adopted(graph, self.graph_id, self.store, self.saver)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The answer of the factory's clean-up is not heeded: it must not turn a failed run into a successful one.
        await self._stack.__aexit__(kind, error, trace)

    def _config(self) -> RunnableConfig:
        executes = self.access_context == "threads.create_run"
        configurable = with_user(self.config.get("configurable", {}))
        return {**self.config, "configurable": {**configurable, "__is_for_execution__": executes}}

    def _runtime(self) -> Any:
        if not self.factory.wants_runtime:
            return None
        given: dict[str, Any] = {"access_context": self.access_context, "user": self._user(), "store": self.store}
        if self.access_context != "threads.create_run":
            return sdk._ReadRuntime(**given)
        return sdk._ExecutionRuntime(**given, context=coerce(self.factory.context_type, self.context))

    def _user(self) -> Any:
        if self.user is not None:
            return self.user
        return with_user(self.config.get("configurable", {})).get(AUTH_USER)


def adopted(
    graph: AnyGraph, graph_id: str, store: BaseStore | None, saver: BaseCheckpointSaver[Any] | None
) -> AnyGraph:
    """A shallow copy of `graph` with the server's store and saver, named `graph_id` unless it has a name of its own.

    `Pregel.copy` is not used because it goes through the constructor, which loses the attributes set after it.
    """
    own = copy.copy(graph)
    own.store = store
    own.checkpointer = saver
    if own.name == DEFAULT_NAME:
        own.name = graph_id
    return own
