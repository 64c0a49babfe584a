"""Graphs whose steps leave a mark outside the database, so that a step that was executed twice shows."""

from __future__ import annotations

import asyncio
import operator
import os
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

ALL_STEPS = [f"s{number}" for number in range(10)]
STEP_S = 0.1
TOKEN_S = 0.02


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    answer: str


def mark(config: RunnableConfig, what: str) -> None:
    """Add a line to the journal. One write of a short line is whole or absent, also under SIGKILL."""
    line = f"{config['configurable']['thread_id']} {what}\n"
    descriptor = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _step(name: str) -> Any:
    async def step(state: State, config: RunnableConfig) -> State:
        mark(config, f"{name}:begin")
        await asyncio.sleep(STEP_S)
        mark(config, f"{name}:end")
        return {"log": [name]}

    return step


async def talk(state: MessagesState) -> Any:
    count = int(str(state["messages"][-1].content))
    model = GenericFakeChatModel(messages=iter([AIMessage(" ".join(f"w{i}" for i in range(count)))]))
    whole: Any = None
    async for chunk in model.astream(state["messages"]):
        await asyncio.sleep(TOKEN_S / 2)  # every second chunk is a space
        whole = chunk if whole is None else whole + chunk
    return {"messages": [whole]}


def ask(state: State, config: RunnableConfig) -> State:
    mark(config, "asked")
    return {"answer": str(interrupt("go on?")), "log": ["answered"]}


def chain(state: Any, *nodes: tuple[str, Any]) -> Any:
    graph = StateGraph(state)
    previous = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile()


journaled = chain(State, *((name, _step(name)) for name in ALL_STEPS))
talking = chain(MessagesState, ("talk", talk))
asking = chain(State, ("ask", ask), ("after", _step("after")))
