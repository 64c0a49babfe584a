"""Graphs and configs that several tests use."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.messages import AIMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    n: int


def config(thread_id: str, run_id: str | None = None, **configurable: Any) -> Any:
    """A config for the thread, and the run if there is one."""
    metadata = {"run_id": run_id, "graph_id": "test"} if run_id else {}
    return {"configurable": {"thread_id": thread_id, **configurable}, "metadata": metadata}


def new_id() -> str:
    return str(uuid4())


def log_graph(saver: Any) -> Any:
    """Appends a line and counts."""
    graph = StateGraph(Log)
    graph.add_node("write", lambda state: {"log": [f"line {state.get('n', 0)}"], "n": state.get("n", 0) + 1})
    graph.add_edge(START, "write")
    return graph.compile(checkpointer=saver)


def chat_graph(saver: Any) -> Any:
    """Answers each message at some length."""

    def answer(state: MessagesState) -> dict[str, Any]:
        count = len(state["messages"])
        text = f"Answer {count}: " + " ".join(f"word{count * 31 % 97 + place}" for place in range(30))
        return {"messages": [AIMessage(text, id=f"answer-{count}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def approval_graph(saver: Any) -> Any:
    """Stops to ask, then records the answer."""

    def ask(state: Log) -> Log:
        return {"log": [f"approved: {interrupt('may I?')}"]}

    graph = StateGraph(Log)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=saver)


def _joined(state: list[str], writes: list[list[str]]) -> list[str]:
    return [*state, *(line for write in writes for line in write)]


class DeltaLog(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(_joined, snapshot_frequency=7)]
    n: int


def delta_graph(saver: Any) -> Any:
    """Like `log_graph`, its log in a delta channel that is written in full every seventh time."""
    graph = StateGraph(DeltaLog)
    graph.add_node("write", lambda state: {"log": [f"line {state.get('n', 0)}"], "n": state.get("n", 0) + 1})
    graph.add_edge(START, "write")
    return graph.compile(checkpointer=saver)
