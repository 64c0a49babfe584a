"""Loading every graph that ``langgraph.json`` names, at start-up (spec 17.1)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from waystation.config import Config, GraphSpec
from waystation.errors import GraphLoadError
from waystation.graphs.access import AnyGraph, adopted
from waystation.graphs.factories import Factory
from waystation.graphs.failures import graph_named, load_error
from waystation.graphs.modules import Modules, line_of

__all__ = ["load_graphs"]

log = structlog.get_logger("waystation.graphs")


def load_graphs(config: Config, modules: Modules) -> dict[str, AnyGraph | Factory]:
    """Every graph of `config` by id: itself, not yet attached to a store, or the factory of it. Raises GraphLoadError."""
    return {graph_id: _load(modules, spec) for graph_id, spec in config.graphs.items()}


def _load(modules: Modules, spec: GraphSpec) -> AnyGraph | Factory:
    module, variable = modules.load(spec.graph_id, spec.reference)
    if not hasattr(module, variable):
        raise _error(spec, module, variable, f"there is no variable {variable!r}{_candidates(module)}")
    value = getattr(module, variable)
    if isinstance(value, StateGraph):
        try:
            value = value.compile(name=spec.graph_id)
        except Exception as error:
            raise _error(spec, module, variable, f"the graph does not compile: {error}") from error
    if isinstance(value, Pregel):
        _warn_of_replacement(spec.graph_id, value)
        return adopted(value, spec.graph_id, None, None)
    if callable(value):
        try:
            return Factory.of(value)
        except ValueError as error:
            raise _error(spec, module, variable, str(error)) from error
    raise _error(
        spec,
        module,
        variable,
        f"{variable!r} is a {type(value).__name__}; it must be a compiled graph, a StateGraph, an entrypoint or a factory",
    )


def _error(spec: GraphSpec, module: ModuleType, variable: str, cause: str) -> GraphLoadError:
    file = getattr(module, "__file__", None)
    place = None if file is None else (Path(file), line_of(module, variable))
    return load_error(graph_named(spec.graph_id, spec.reference), place, cause)


def _candidates(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, (Pregel, StateGraph))]
    return f"; graphs there: {', '.join(names)}" if names else ""


def _warn_of_replacement(graph_id: str, graph: Pregel[Any, Any, Any, Any]) -> None:
    if isinstance(graph.checkpointer, BaseCheckpointSaver) or graph.checkpointer is False:
        log.warning("the graph's own checkpointer is replaced by the server's", graph_id=graph_id)
    if graph.store is not None:
        log.warning("the graph's own store is replaced by the server's", graph_id=graph_id)
