"""Graphs as nodes and edges (spec 2.4)."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables.graph import Graph as Drawn
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel import Pregel

from waystation.errors import UnprocessableInput
from waystation.graphs.drawing import drawing, parse_xray

Graph = Pregel[Any, Any, Any, Any]


def _pass(_state: MessagesState) -> dict[str, Any]:
    return {}


passing: Any = _pass


def subgraph(inner: Any = passing) -> Graph:
    builder = StateGraph(MessagesState)
    builder.add_node("child", inner)
    builder.add_edge(START, "child")
    return builder.compile()


def with_child(child: Graph) -> Graph:
    builder = StateGraph(MessagesState)
    builder.add_node("first", passing)
    builder.add_node("parent", child)
    builder.add_edge(START, "first")
    builder.add_conditional_edges("first", lambda _: "go", {"go": "parent", "stop": END})
    return builder.compile()


def test_xray_values() -> None:
    assert [parse_xray(text) for text in (None, "false", "False")] == [False] * 3
    assert [parse_xray(text) for text in ("true", "True")] == [True] * 2
    assert [parse_xray(text) for text in ("1", "12")] == [1, 12]


@pytest.mark.parametrize("text", ["", "0", "-1", "TRUE", "yes", "1.5", "+1", " 1", "²", "9" * 5000])
def test_another_xray_is_refused(text: str) -> None:
    with pytest.raises(UnprocessableInput, match="Invalid xray"):
        parse_xray(text)


async def test_nodes_and_edges() -> None:
    assert await drawing(with_child(subgraph())) == {
        "nodes": [
            {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
            {"id": "first", "type": "runnable", "data": {"name": "first"}},
            {"id": "parent", "type": "runnable", "data": {"name": "parent"}},
            {"id": "__end__"},
        ],
        "edges": [
            {"source": "__start__", "target": "first"},
            {"source": "first", "target": "__end__", "data": "stop", "conditional": True},
            {"source": "first", "target": "parent", "data": "go", "conditional": True},
            {"source": "parent", "target": "__end__"},
        ],
    }


async def test_xray_replaces_a_parent_by_its_children_to_the_depth_asked_for() -> None:
    graph = with_child(subgraph(subgraph()))

    async def ids(xray: bool | int) -> set[str]:
        return {found["id"] for found in (await drawing(graph, xray))["nodes"]} - {"__start__", "__end__", "first"}

    assert await ids(False) == {"parent"}
    assert await ids(1) == {"parent:child"}
    assert await ids(2) == {"parent:child:child"}
    assert await ids(True) == {"parent:child:child"}


async def test_a_graph_that_cannot_be_drawn() -> None:
    class Undrawable(Pregel[Any, Any, Any, Any]):
        async def aget_graph(self, config: Any = None, *, xray: int | bool = False) -> Drawn:
            raise NotImplementedError

    graph = subgraph()
    graph.__class__ = Undrawable
    with pytest.raises(UnprocessableInput, match="cannot be drawn: NotImplementedError"):
        await drawing(graph)
