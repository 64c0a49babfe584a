"""The JSON Schemas of graphs and subgraphs (spec 2.5, 2.6)."""

from __future__ import annotations

import operator
import typing
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typing_extensions
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel import Pregel
from pydantic import BaseModel

from waystation.graphs import schemas as described
from waystation.graphs.schemas import subgraph_schemas

Graph = Pregel[Any, Any, Any, Any]


class Item(typing.TypedDict):
    name: str
    parent: typing.NotRequired[Item | None]


class State(typing.TypedDict, total=False):
    """What the agent knows."""

    text: typing_extensions.Required[str]
    items: Annotated[list[Item], operator.add]
    _private: int


class Options(typing.TypedDict):
    model: str
    thread_id: str


@dataclass
class DataState:
    count: int = 3


class ModelState(BaseModel):
    count: int = 3


class Opaque:
    """A type without a JSON Schema."""


class OpaqueState(typing_extensions.TypedDict):
    known: int
    handle: Opaque


def _node(_state: Any) -> dict[str, Any]:
    return {}


node: Any = _node


def one_node(state: Any, **settings: Any) -> Graph:
    builder = StateGraph(state, **settings)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile()


def schemas(graph: Graph) -> dict[str, Any]:
    """The schemas, without their types: the tests look deep into them."""
    return dict(described.schemas(graph))


def properties(schema: Any) -> set[str]:
    return set(schema["properties"])


def test_a_state_declared_with_the_typed_dict_of_typing() -> None:
    found = schemas(one_node(State))

    for part in ("input_schema", "output_schema"):
        assert properties(found[part]) == {"text", "items", "_private"}
        assert found[part]["required"] == ["text"]
        assert found[part]["description"] == "What the agent knows."
        assert found[part]["properties"]["text"]["type"] == "string"
    assert properties(found["state_schema"]) == {"text", "items", "_private"}
    assert "Item" in found["state_schema"]["$defs"]


@pytest.mark.parametrize("state", [DataState, ModelState])
def test_states_that_are_classes(state: Any) -> None:
    found = schemas(one_node(state))

    for part in ("input_schema", "output_schema", "state_schema"):
        assert found[part]["properties"]["count"]["type"] == "integer"


def test_messages() -> None:
    found = schemas(one_node(MessagesState))

    for part in ("input_schema", "output_schema", "state_schema"):
        assert found[part]["properties"]["messages"]["type"] == "array"
        assert "HumanMessage" in found[part]["$defs"]


def test_without_a_context_schema() -> None:
    found = schemas(one_node(State))

    assert found["config_schema"] == {}
    assert found["context_schema"] is None


def test_the_config_schema_is_the_configurable_part_without_internals() -> None:
    found = schemas(one_node(State, context_schema=Options))

    assert properties(found["context_schema"]) == {"model", "thread_id"}
    assert properties(found["config_schema"]) == {"model"}
    assert found["config_schema"]["required"] == ["model"]


@pytest.mark.parametrize("context", [DataState, ModelState])
def test_context_schemas_that_are_classes(context: Any) -> None:
    found = schemas(one_node(State, context_schema=context))

    assert found["context_schema"] == found["config_schema"]
    assert found["context_schema"]["properties"]["count"]["default"] == 3


def test_a_part_that_cannot_be_generated_is_null_and_its_channel_untyped() -> None:
    found = schemas(one_node(OpaqueState, context_schema=OpaqueState))

    assert found["input_schema"] is None
    assert found["output_schema"] is None
    assert found["config_schema"] is None
    assert found["context_schema"] is None
    assert found["state_schema"]["properties"]["known"]["type"] == "integer"
    assert "type" not in found["state_schema"]["properties"]["handle"]


def test_a_functional_graph() -> None:
    def count(item: Any) -> Any:
        return 1

    count.__annotations__ = {"item": Item, "return": int}
    found = schemas(entrypoint()(count))

    assert properties(found["input_schema"]) == {"name", "parent"}
    assert found["output_schema"]["type"] == "integer"


@pytest.fixture
def nested() -> Graph:
    middle = StateGraph(State)
    middle.add_node("leaf", one_node(State))
    middle.add_edge(START, "leaf")
    outer = StateGraph(State)
    outer.add_node("middle", middle.compile())
    outer.add_node("plain", node)
    outer.add_edge(START, "middle")
    outer.add_edge("middle", "plain")
    return outer.compile()


@pytest.mark.parametrize(
    ("namespace", "recurse", "names"),
    [
        (None, False, ["middle"]),
        (None, True, ["middle", "middle|leaf"]),
        ("middle", False, ["middle"]),
        ("middle", True, ["middle"]),
        ("middle|leaf", True, ["middle|leaf"]),
        ("middle|leaf", False, []),
        ("plain", True, []),
        ("nowhere", True, []),
    ],
)
def test_subgraphs_by_namespace(nested: Graph, namespace: str | None, recurse: bool, names: list[str]) -> None:
    found = subgraph_schemas(nested, namespace, recurse)

    assert list(found) == names
    for item in found.values():
        assert set(item) == {"input_schema", "output_schema", "state_schema", "config_schema", "context_schema"}
        assert properties(item["state_schema"]) == {"text", "items", "_private"}
