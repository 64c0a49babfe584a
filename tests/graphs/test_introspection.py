"""Schemas and drawings by graph id: kept for graphs that cannot change, made anew for those of a factory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystation.errors import NotAGraph, NotFound
from waystation.graphs import Graphs

CODE = """
outer = StateGraph(State)
outer.add_node("inner", graph)
outer.add_edge(START, "inner")
calls = []

def make(config):
    calls.append(config)
    return outer

def bad():
    return None
"""


@pytest.fixture
def graphs(write: Callable[[str, str], Path], load: Callable[..., Graphs], static_source: str) -> Graphs:
    write("agent.py", static_source + CODE)
    return load({"static": "./agent.py:outer", "made": "./agent.py:make", "bad": "./agent.py:bad"})


def calls() -> list[Any]:
    module = next(module for name, module in sys.modules.items() if name.startswith("waystation_graph_agent_"))
    found: list[Any] = module.calls
    return found


@pytest.mark.parametrize("graph_id", ["static", "made"])
async def test_every_description(graphs: Graphs, graph_id: str) -> None:
    described = graphs.introspection

    found: dict[str, Any] = await described.schemas(graph_id)
    assert found["graph_id"] == graph_id
    assert set(found["state_schema"]["properties"]) == {"x"}
    assert list(await described.subgraph_schemas(graph_id)) == ["inner"]
    assert list(await described.subgraph_schemas(graph_id, "inner", recurse=True)) == ["inner"]
    assert await described.subgraph_schemas(graph_id, "nowhere") == {}
    for xray, expected in ((False, "inner"), (True, "inner:echo"), (1, "inner:echo"), (99, "inner:echo")):
        assert expected in {node["id"] for node in (await described.drawing(graph_id, xray))["nodes"]}


async def test_a_static_graph_is_described_once(graphs: Graphs) -> None:
    described = graphs.introspection

    assert await described.schemas("static") is await described.schemas("static")
    assert await described.subgraph_schemas("static") is await described.subgraph_schemas("static")
    assert await described.drawing("static", 2) is await described.drawing("static", 2)


async def test_a_client_cannot_fill_the_memory_with_depths(graphs: Graphs) -> None:
    described = graphs.introspection

    assert await described.drawing("static", 1000) is not await described.drawing("static", 1000)


async def test_true_and_one_are_different_depths(
    graphs: Graphs, write: Callable[[str, str], Path], load: Callable[..., Graphs], static_source: str
) -> None:
    write(
        "deep.py",
        static_source + CODE + "deep = StateGraph(State)\ndeep.add_node('top', outer.compile())\n"
        "deep.add_edge(START, 'top')\n",
    )
    described = load({"deep": "./deep.py:deep"}).introspection

    def inner(found: dict[str, list[dict[str, Any]]]) -> set[str]:
        return {node["id"] for node in found["nodes"]} - {"__start__", "__end__"}

    assert inner(await described.drawing("deep", True)) == {"top:inner:echo"}
    assert inner(await described.drawing("deep", 1)) == {"top:inner"}


async def test_a_factory_is_asked_each_time_with_the_assistants_config(graphs: Graphs) -> None:
    await graphs.introspection.schemas("made", {"configurable": {"model": "a"}})
    await graphs.introspection.schemas("made", {"configurable": {"model": "b"}})

    assert [config["configurable"] for config in calls()] == [
        {"model": "a", "__is_for_execution__": False},
        {"model": "b", "__is_for_execution__": False},
    ]


async def test_errors(graphs: Graphs) -> None:
    with pytest.raises(NotFound):
        await graphs.introspection.schemas("nope")
    with pytest.raises(NotAGraph):
        await graphs.introspection.drawing("bad")
