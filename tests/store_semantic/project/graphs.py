"""Graphs that remember and recall."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime


class State(TypedDict, total=False):
    facts: list[str]
    question: str
    recalled: list[Any]


def remember(state: State, runtime: Runtime[None]) -> State:
    assert runtime.store is not None
    for number, fact in enumerate(state["facts"]):
        runtime.store.put(("memories",), str(number), {"text": fact}, index=["text"])
    return {}


def recall(state: State, runtime: Runtime[None]) -> State:
    assert runtime.store is not None
    found = runtime.store.search(("memories",), query=state["question"], limit=2)
    return {"recalled": [[item.value["text"], item.score] for item in found]}


async def remember_async(state: State, runtime: Runtime[None]) -> State:
    assert runtime.store is not None
    for number, fact in enumerate(state["facts"]):
        await runtime.store.aput(("memories",), str(number), {"text": fact}, index=["text"])
    return {}


async def recall_async(state: State, runtime: Runtime[None]) -> State:
    assert runtime.store is not None
    found = await runtime.store.asearch(("memories",), query=state["question"], limit=2)
    return {"recalled": [[item.value["text"], item.score] for item in found]}


memory: Any = StateGraph(State).add_sequence([remember, recall]).add_edge(START, "remember").compile()
memory_async: Any = (
    StateGraph(State).add_sequence([remember_async, recall_async]).add_edge(START, "remember_async").compile()
)
