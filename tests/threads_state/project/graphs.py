"""Graphs whose states the tests read and write."""

from __future__ import annotations

import asyncio
import json
import operator
import time
import warnings
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Send, interrupt
from langgraph_sdk.runtime import ServerRuntime


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    topic: str


def _reply(state: Chat) -> dict[str, Any]:
    return {"messages": [AIMessage(f"reply to {state['messages'][-1].content}")]}


def _chat() -> Any:
    graph = StateGraph(Chat)
    graph.add_node("model", _reply)
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    return graph.compile()


class Approval(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    answer: str


def _ask(state: Approval) -> dict[str, Any]:
    return {"answer": interrupt({"question": "go on?"}), "log": ["asked"]}


def _approval() -> Any:
    graph = StateGraph(Approval)
    graph.add_node("prepare", lambda state: {"log": ["prepared"]})
    graph.add_node("ask", _ask)
    graph.add_node("finish", lambda state: {"log": ["finished"]})
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "ask")
    graph.add_edge("ask", "finish")
    return graph.compile()


def _nested() -> Any:
    inner = StateGraph(Approval)
    inner.add_node("ask", _ask)
    inner.add_edge(START, "ask")
    middle = StateGraph(Approval)
    middle.add_node("before", lambda state: {"log": ["middle"]})
    middle.add_node("inner", inner.compile())
    middle.add_edge(START, "before")
    middle.add_edge("before", "inner")
    outer = StateGraph(Approval)
    outer.add_node("middle", middle.compile())
    outer.add_edge(START, "middle")
    return outer.compile()


def _parallel() -> Any:
    graph = StateGraph(Approval)
    graph.add_node("left", lambda state: {"log": ["left"]})
    graph.add_node("right", lambda state: {"log": ["right"]})
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    return graph.compile()


class Fan(TypedDict, total=False):
    items: list[int]
    squares: Annotated[list[int], operator.add]


def _square(state: Any) -> dict[str, Any]:
    if state["item"] < 0:
        raise ValueError(f"cannot take {state['item']}")
    return {"squares": [state["item"] ** 2]}


def _to_squares(state: Fan) -> list[Send]:
    return [Send("square", {"item": item}) for item in state["items"]]


def _fan() -> Any:
    graph = StateGraph(Fan)
    graph.add_node("split", lambda state: {})
    graph.add_node("square", _square)
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", _to_squares, ["square"])
    return graph.compile()


class Picky(TypedDict, total=False):
    size: int


class SecretError(Exception):
    """Not a class whose text clients may see."""


def _after_check(state: Picky) -> str:
    if state["size"] < 0:
        raise ValueError("size must not be negative")
    if state["size"] > 100:
        raise SecretError("postgres://user:password@host")
    return END


def _picky() -> Any:
    graph = StateGraph(Picky)
    graph.add_node("check", lambda state: {})
    graph.add_edge(START, "check")
    graph.add_conditional_edges("check", _after_check)
    return graph.compile()


def _joined(state: list[str], batches: Any) -> list[str]:
    return [*state, *(item for batch in batches for item in batch)]


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _KEPT: Any = DeltaChannel(_joined, snapshot_frequency=3)


class Delta(TypedDict):
    """Kept as the writes that made it, with a full copy every third time."""

    log: Annotated[list[str], _KEPT]


def _delta() -> Any:
    graph = StateGraph(Delta)
    graph.add_node("node", lambda state: {"log": [f"saw {len(state['log'])}"]})
    graph.add_edge(START, "node")
    return graph.compile()


def _typed() -> Any:
    graph = StateGraph(Approval)
    graph.add_node("ask", lambda state: {"answer": interrupt("sure?", response_schema={"type": "boolean"})})
    graph.add_edge(START, "ask")
    return graph.compile()


class Gated(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    gate: str


def _pass_gate(state: Gated) -> str:
    """The n-th to come shows itself with ``<n>.came`` in the gate's directory and waits for ``<n>.go``."""
    gate = Path(state["gate"])
    number = len(list(gate.glob("*.came")))
    (gate / f"{number}.came").touch()
    for _ in range(5000):
        if (gate / f"{number}.go").exists():
            return END
        time.sleep(0.002)
    raise TimeoutError(f"gate {number} stayed shut")


def _gated() -> Any:
    graph = StateGraph(Gated)
    graph.add_node("free", lambda state: {"log": ["free"]})
    graph.add_node("slow", lambda state: {"log": ["slow"]})
    graph.add_edge(START, "free")
    graph.add_conditional_edges("slow", _pass_gate)
    return graph.compile()


async def gated_read(config: RunnableConfig, runtime: ServerRuntime[Any]) -> Any:
    """The graph ``gated``, which is opened for reading only through the gate that the configurable ``gate`` names."""
    gate = config["configurable"].get("gate")
    if gate and runtime.access_context == "threads.read":
        await asyncio.to_thread(_pass_gate, {"gate": gate})
    return _gated()


def traced(config: RunnableConfig, runtime: ServerRuntime[Any]) -> Any:
    """A factory that notes every call in the file that the configurable ``trace`` names."""
    configurable = config["configurable"]
    call = {"access_context": runtime.access_context, **{k: v for k, v in configurable.items() if isinstance(v, str)}}
    with Path(configurable["trace"]).open("a") as trace:
        trace.write(json.dumps(call) + "\n")
    return _chat()


@task
def _double(number: int) -> int:
    return number * 2


@entrypoint()
def workflow(number: int, *, previous: int | None = None) -> int:
    """Adds the double of its input to what it returned before."""
    return _double(number).result() + (previous or 0)


chat = _chat()
approval = _approval()
nested = _nested()
parallel = _parallel()
fan = _fan()
picky = _picky()
gated = _gated()
delta = _delta()
typed = _typed()
