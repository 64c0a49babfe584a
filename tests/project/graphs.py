"""Graphs for the tests: small, deterministic, no model key."""

from __future__ import annotations

import asyncio
import operator
import time
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send, interrupt


class State(TypedDict, total=False):
    x: str
    n: int
    log: Annotated[list[str], operator.add]


def chain(*nodes: tuple[str, Any], state: Any = State) -> Any:
    graph = StateGraph(state)
    previous = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile()


def bang(state: State) -> State:
    return {"x": (state.get("x") or "") + "!", "n": (state.get("n") or 0) + 1}


echo = chain(("echo", bang))


def _step(index: int) -> Any:
    async def step(state: State) -> State:
        await asyncio.sleep(0.15)
        return {"n": (state.get("n") or 0) + 1, "log": [f"s{index}"]}

    return step


steps = chain(*((f"s{index}", _step(index)) for index in range(10)))


async def talk(state: MessagesState) -> Any:
    last = state["messages"][-1].content
    count = int(last) if isinstance(last, str) and last.isdigit() else 3
    model = GenericFakeChatModel(messages=iter([AIMessage(" ".join(f"w{i}" for i in range(count)))]))
    whole: Any = None
    async for chunk in model.astream(state["messages"]):
        whole = chunk if whole is None else whole + chunk
    return {"messages": [whole]}


chat = chain(("talk", talk), state=MessagesState)


async def drip(state: MessagesState) -> Any:
    """Like `talk`, at 20 tokens a second."""
    count = int(str(state["messages"][-1].content))
    model = GenericFakeChatModel(messages=iter([AIMessage(" ".join(f"w{i}" for i in range(count)))]))
    whole: Any = None
    async for chunk in model.astream(state["messages"]):
        await asyncio.sleep(0.025)
        whole = chunk if whole is None else whole + chunk
    return {"messages": [whole]}


slow_chat = chain(("drip", drip), state=MessagesState)


def ask(state: State) -> State:
    return {"x": str(interrupt({"question": "ok?"})), "log": ["asked"]}


hitl = chain(("ask", ask), ("after", bang))


def ask_which(state: State) -> State:
    name = state.get("x") or ""
    return {"log": [f"{name}={interrupt(name)}"]}


def fan_out(state: State) -> list[Send]:
    return [Send("ask_which", {"x": name}) for name in ("left", "right")]


_two = StateGraph(State)
_two.add_node("ask_which", ask_which)
_two.add_conditional_edges(START, fan_out, ["ask_which"])
_two.add_edge("ask_which", END)
two_questions = _two.compile()

inner = chain(("one", lambda s: {"log": ["one"]}), ("two", lambda s: {"log": ["two"]}))
_inner_hitl = chain(("ask", ask))
nested = chain(("before", bang), ("sub", inner), ("after", bang))
nested_hitl = chain(("sub", _inner_hitl), ("after", bang))


def fail(state: State) -> State:
    raise ValueError("the node failed")


failing = chain(("good", bang), ("bad", fail))


async def sleep(state: State) -> State:
    await asyncio.sleep(state.get("n") or 30)
    return {"x": "done"}


sleeper = chain(("first", lambda s: {"log": ["first"]}), ("sleep", sleep))


async def block(state: State) -> State:
    time.sleep(state.get("n") or 2)  # noqa: ASYNC251 - that is the point
    return {"x": "unblocked"}


blocker = chain(("block", block))


def write(state: State) -> State:
    writer = get_stream_writer()
    writer({"progress": 1})
    writer({"progress": 2})
    return {"x": "written"}


custom = chain(("write", write))
