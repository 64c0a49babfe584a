"""Executing one attempt of a run: open the graph, stream it, and find out how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import orjson
import structlog
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.pregel import Pregel
from msgspec import Struct

from waystation import __version__
from waystation.auth.user import with_user
from waystation.encoding import encode
from waystation.errors import Unavailable
from waystation.graphs import Graphs
from waystation.runs.commands import graph_command
from waystation.runs.errors import JobTimeout, sanitise
from waystation.runs.lifecycle import Claimed, LeaseLost, Outcome
from waystation.runs.translate import EVENT_STREAMING, graph_modes, translator_of
from waystation.storage.checkpoints import RunSaver
from waystation.store import CustomStore, Store
from waystation.streams.log import RunLog

if TYPE_CHECKING:
    from waystation.runs.blocks import BlockTranslator
    from waystation.runs.projections import Projections

__all__ = ["Ending", "Execution"]

log = structlog.get_logger("waystation.runs")

LANGGRAPH_VERSION = version("langgraph")

INTERRUPT = "__interrupt__"
"""LangGraph's entry in ``versions_seen`` for the channel versions at which it last stopped at a breakpoint."""


class Ending(Struct, frozen=True):
    """How an attempt ended: what to commit, and what to tell waiting clients."""

    outcome: Outcome
    result: bytes
    """JSON."""


class Execution:
    """One attempt. Lives on a runner loop."""

    def __init__(
        self,
        run: Claimed,
        graphs: Graphs,
        store: Store | CustomStore,
        saver: RunSaver | None,
        events: RunLog,
        timeout_s: float,
        callbacks: Sequence[BaseCallbackHandler] = (),
    ) -> None:
        self.run = run
        self._graphs = graphs
        self._store = store
        self._saver = saver
        self._events = events
        self._timeout_s = timeout_s
        self._callbacks = callbacks
        self._translator = translator_of(run.kwargs, events.emit)

    async def attempt(self) -> Ending:
        """Run the graph to its end. Exceptions of user code become the outcome; only cancellation is passed on, and the loss
        of the run or of the database."""
        self._events.emit("metadata", {"run_id": self.run.run_id, "attempt": self.run.attempt})
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                return await self._run_graph()
        except (LeaseLost, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - a graph may raise anything; `failed` logs it
            if limit.expired() and isinstance(error, TimeoutError):
                return await self.timed_out()
            return await self.failed(error)

    async def timed_out(self) -> Ending:
        """The ending of an attempt that took too long. Its stream tells nothing of it (spec 8.2)."""
        return await self.ended("timeout", JobTimeout(f"The run took longer than {self._timeout_s:g} s."))

    async def failed(self, error: BaseException) -> Ending:
        """The ending of an attempt that user code ended with `error`."""
        log.warning(
            "run failed",
            run_id=self.run.run_id,
            thread_id=self.run.thread_id,
            graph_id=self.run.graph_id,
            exc_info=error,
        )
        self._events.emit("error", sanitise(error))
        return await self.ended("error", error)

    async def _run_graph(self) -> Ending:
        async with self._graphs.open(
            self.run.graph_id,
            config=self._config(),
            access_context="threads.create_run",
            store=self._store,
            context=self.run.kwargs.get("context"),
        ) as graph:
            own = await self._own_checkpoint()
            if own is None or not await self._rests_at_breakpoint(graph, own):
                await self._stream(graph, own)
            if not self._translator.stopped_early and self._translator.values is not None:
                values = orjson.Fragment(encode(self._translator.values))
                outcome = Outcome("success", values=values, interrupts={})
                return Ending(outcome, encode(self._translator.result(values)))
            outcome = await self._outcome("success", graph)
            result = self._translator.result(outcome.values)
            return Ending(outcome, encode(result))

    async def ended(self, kind: Any, error: BaseException | None) -> Ending:
        """The ending of an attempt that did not finish: the state is what the last checkpoint holds."""
        told = sanitise(error) if error is not None else None
        try:
            async with self._graphs.open(
                self.run.graph_id,
                config=self._config(),
                access_context="threads.read",
                store=self._store,
                context=self.run.kwargs.get("context"),
            ) as graph:
                outcome = await self._outcome(kind, graph, told)
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("cannot read the state a run left behind", run_id=self.run.run_id)
            outcome = Outcome(kind, error=told)
        if kind == "error":
            return Ending(outcome, encode({"__error__": told}))
        return Ending(outcome, encode(self._translator.result(self._translator.values)))

    async def _outcome(
        self, kind: Any, graph: Pregel[Any, Any, Any, Any], error: dict[str, str] | None = None
    ) -> Outcome:
        """What the thread's newest checkpoint says: values, open interrupts, and whether nodes are left to run."""
        if self._saver is None:
            return Outcome(kind, values=self._translator.values, error=error)
        await self._saver.flush()
        config = _root(self.run.thread_id)
        config["configurable"]["__pregel_checkpointer"] = self._saver
        snapshot = await graph.aget_state(config)
        if snapshot.created_at is None:
            return Outcome(kind, error=error)
        interrupts = {
            task.id: [{"id": i.id, "value": i.value, "response_schema": i.response_schema} for i in task.interrupts]
            for task in snapshot.tasks
            if task.interrupts
        }
        return Outcome(
            kind,
            values=orjson.Fragment(encode(snapshot.values)),
            interrupts=orjson.loads(encode(interrupts)),
            pending=bool(snapshot.next),
            error=error,
        )

    # --- streaming

    async def _stream(self, graph: Pregel[Any, Any, Any, Any], own: CheckpointTuple | None) -> None:
        kwargs = self.run.kwargs
        modes = graph_modes(kwargs["stream_mode"])
        projections = self._projections(graph)
        if projections is not None:
            modes += {"tools", *projections.modes} - {*modes}
        options: dict[str, Any] = {
            "stream_mode": modes,
            "interrupt_before": kwargs.get("interrupt_before"),
            "interrupt_after": kwargs.get("interrupt_after"),
            # Tokens of models inside subgraphs are shown in any case (spec 8.4); the translator drops the rest.
            "subgraphs": bool(kwargs.get("subgraphs")) or "messages" in modes,
        }
        if self._saver is not None:
            options["durability"] = kwargs["durability"]
        if graph.context_schema is not None:
            options["context"] = self._graphs.known_context(self.run.graph_id, graph, kwargs.get("context") or {})
        given, config = self._input(own)
        if "events" in kwargs["stream_mode"]:
            await self._stream_events(graph, given, config, options)
            return
        subgraphs = options["subgraphs"]
        chunk = self._translator.chunk
        streamed = cast(AsyncGenerator[Any, None], graph.astream(given, config, **options))
        if projections is not None:
            streamed = projections.watching(streamed)
        async with aclosing(streamed) as chunks:
            async for item in chunks:
                if subgraphs:
                    chunk(*item)
                else:
                    chunk((), *item)
        self._translator.finish()

    def _projections(self, graph: Pregel[Any, Any, Any, Any]) -> Projections | None:
        """The stream transformers of the graph and its module, for a run of the event streaming protocol."""
        if not self.run.kwargs.get(EVENT_STREAMING):
            return None
        from waystation.runs.projections import Projections

        factories = [*graph.stream_transformers, *self._graphs.stream_transformers(self.run.graph_id)]
        return Projections(factories, cast("BlockTranslator", self._translator))

    async def _stream_events(
        self, graph: Pregel[Any, Any, Any, Any], given: Any, config: RunnableConfig, options: dict[str, Any]
    ) -> None:
        """The mode ``events``: LangChain's own events, with the graph's chunks among them."""
        streamed = graph.astream_events(given, config, version="v2", **options)
        async with aclosing(cast(AsyncGenerator[Any, None], streamed)) as events:
            async for event in events:
                if event["event"] == "on_chain_stream" and event["run_id"] == self.run.run_id:
                    item = event["data"]["chunk"]
                    self._translator.chunk(*(item if options["subgraphs"] else ((), *item)))
                self._translator.langchain_event(event)

    # --- going on after a crash

    async def _own_checkpoint(self) -> CheckpointTuple | None:
        """The newest checkpoint, if an earlier attempt of this run made it."""
        if self.run.attempt == 1 or self._saver is None:
            return None
        newest = await self._saver.aget_tuple(_root(self.run.thread_id))
        return newest if newest is not None and newest.metadata.get("run_id") == self.run.run_id else None

    async def _rests_at_breakpoint(self, graph: Pregel[Any, Any, Any, Any], own: CheckpointTuple) -> bool:
        """Whether the earlier attempt had stopped at a breakpoint and only was not settled: to go on would run past it."""
        kwargs, seen = self.run.kwargs, own.checkpoint["versions_seen"]
        before = kwargs.get("interrupt_before") or graph.interrupt_before_nodes
        after = kwargs.get("interrupt_after") or graph.interrupt_after_nodes
        if not (before or after) or self._saver is None:
            return False
        passed = seen.get(INTERRUPT, {})
        if all(passed.get(channel) == version for channel, version in own.checkpoint["channel_versions"].items()):
            return False
        config = _root(self.run.thread_id)
        config["configurable"]["__pregel_checkpointer"] = self._saver
        if _any_of((await graph.aget_state(config)).next, before):
            return True
        parent = await self._saver.aget_tuple(own.parent_config) if after and own.parent_config else None
        former = parent.checkpoint["versions_seen"] if parent is not None else {}
        return _any_of([node for node in seen if node in graph.nodes and seen[node] != former.get(node)], after)

    def _input(self, own: CheckpointTuple | None) -> tuple[Any, RunnableConfig]:
        """The graph's input and config: the client's, or whatever continues from the run's own checkpoint."""
        config = self._config()
        if own is not None:
            for key in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
                config["configurable"].pop(key, None)
            return None, config
        command = self.run.kwargs.get("command") or {}
        return (graph_command(command) if _says_something(command) else self.run.kwargs.get("input")), config

    def _config(self) -> RunnableConfig:
        stored: Mapping[str, Any] = self.run.kwargs["config"]
        config: RunnableConfig = {
            **stored,  # type: ignore[typeddict-item]
            "run_id": UUID(self.run.run_id),
            "configurable": {**with_user(stored["configurable"]), "__pregel_checkpointer": self._saver},
            "metadata": {
                **(stored.get("metadata") or {}),
                "run_attempt": self.run.attempt,
                "langgraph_version": LANGGRAPH_VERSION,
                "langgraph_api_version": __version__,
            },
        }
        config.setdefault("run_name", self.run.graph_id)
        if callbacks := [
            *self._callbacks,
            *self._translator.callbacks,
            *_tracers(self.run.kwargs.get("langsmith_tracer")),
        ]:
            config["callbacks"] = callbacks
        return config


def _root(thread_id: str) -> RunnableConfig:
    """The address of a thread's newest checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


def _any_of(nodes: Iterable[str], chosen: str | Sequence[str] | None) -> bool:
    """Whether one of `nodes` is among the `chosen`, a list or ``*`` for all."""
    return any(chosen == "*" or node in (chosen or ()) for node in nodes)


def _says_something(command: Mapping[str, Any]) -> bool:
    """Whether there is a command to give: LangGraph chokes on one that neither resumes, updates nor goes anywhere."""
    return any(command.get(key) is not None for key in ("update", "resume", "goto"))


def _tracers(chosen: Mapping[str, Any] | None) -> list[Any]:
    """LangSmith tracing into the project a client chose. Without that, LangChain follows the environment by itself."""
    if not chosen:
        return []
    from langsmith.utils import tracing_is_enabled

    if not tracing_is_enabled():
        return []
    from langchain_core.tracers import LangChainTracer

    return [LangChainTracer(project_name=chosen.get("project_name"), example_id=chosen.get("example_id"))]
