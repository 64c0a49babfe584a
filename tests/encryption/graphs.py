"""Graphs that put what users say wherever a graph can."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    x: str
    log: Annotated[list[str], operator.add]


def one_node(node: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph.compile()


def note(state: State) -> State:
    return {"log": [state["x"]]}


def ask(state: State) -> State:
    return {"log": [str(interrupt({"question": state["x"]}))]}


def fail(state: State) -> State:
    raise ValueError(state["x"])


noting, asking, failing = one_node(note), one_node(ask), one_node(fail)
