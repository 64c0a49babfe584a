"""A run's context against the context schema of its graph (spec 5.3)."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typing_extensions
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from waystation.graphs import Graphs
from waystation.graphs.context import coerce, context_keys, known_only


class Old(typing.TypedDict, total=False):
    model: str


class New(typing_extensions.TypedDict):
    model: str


class Child(New):
    limit: int


@dataclass
class Data:
    model: str = "m"
    computed: int = field(default=0, init=False)


class Model(BaseModel):
    model: str = "m"
    short: str = Field("s", alias="long")
    either: str = Field("e", validation_alias=AliasChoices("one", "two"))


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    short: str = Field("s", alias="long")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    model: str = "m"


class Nothing(typing_extensions.TypedDict):
    pass


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        (None, None),
        (Old, {"model"}),
        (New, {"model"}),
        (Child, {"model", "limit"}),
        (Data, {"model"}),
        (Model, {"model", "long", "one", "two"}),
        (ByName, {"short", "long"}),
        (Open, None),
        (Nothing, None),
        (dict, None),
    ],
)
def test_the_keys_that_a_schema_knows(schema: Any, keys: set[str] | None) -> None:
    assert context_keys(schema) == keys


def test_unknown_keys_are_dropped_only_when_the_schema_lists_some() -> None:
    context = {"model": "m", "other": 1}

    assert known_only(context, frozenset({"model"})) == {"model": "m"}
    assert known_only(context, None) == context


def test_coercion_makes_the_declared_class() -> None:
    context = {"model": "big", "other": 1}

    assert coerce(Data, context) == Data(model="big")
    assert coerce(Model, context) == Model.model_validate({"model": "big"})
    assert coerce(New, context) == {"model": "big"}
    assert coerce(None, context) == context
    assert coerce(Data, None) is None


async def test_a_registrys_graphs_static_or_made(
    write: Callable[[str, str], Path], load: Callable[..., Graphs], static_source: str
) -> None:
    write(
        "agent.py",
        static_source
        + """
class Options(TypedDict):
    model: str

picky = StateGraph(State, context_schema=Options)
picky.add_node("echo", node)
picky.add_edge(START, "echo")

def make():
    return picky
""",
    )
    graphs = load({"picky": "./agent.py:picky", "made": "./agent.py:make", "plain": "./agent.py:graph"})
    context, found = {"model": "m", "other": 1}, {}
    for graph_id in graphs.ids:
        async with graphs.open(graph_id, config={}, access_context="threads.create_run") as graph:
            found[graph_id] = graphs.known_context(graph_id, graph, context)

    assert found == {"picky": {"model": "m"}, "made": {"model": "m"}, "plain": context}
