"""Graphs whose states are a function of their inputs alone: what they leave behind does not tell what happened meanwhile."""

from __future__ import annotations

import asyncio
import operator
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

PAUSE_S = float(os.environ.get("CHAOS_PAUSE_S", "0"))
"""How long a step takes. Tests that compute what a graph would do leave it out."""

FILLING = "and so on " * 6
"""Makes states large enough to be stored as the difference to the state before."""

STEPS = 10
TOKENS = 40


class State(TypedDict, total=False):
    tag: str
    """Names the run: what its steps write begins with it."""
    log: Annotated[list[str], operator.add]


class Inner(TypedDict, total=False):
    tag: str
    inner: Annotated[list[str], operator.add]


class Outer(State, total=False):
    inner: list[str]


class Talk(MessagesState):
    tag: str


class Parrot(BaseChatModel):
    """Streams the words of `tag`, a token at a time, as a message that always has the same id."""

    tag: str

    @property
    def _llm_type(self) -> str:
        return "parrot"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError("it only streams")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in words(self.tag):
            await asyncio.sleep(PAUSE_S / 3)
            yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=f"answer-{self.tag}"))


def words(tag: str) -> list[str]:
    """What `talking` answers, token by token."""
    return [f"{tag}.{number} " for number in range(TOKENS)]


def _step(name: str) -> Any:
    async def step(state: State) -> State:
        await asyncio.sleep(PAUSE_S)
        return {"log": [f"{state['tag']}:{name}:{FILLING}"]}

    return step


def _inner(name: str) -> Any:
    async def step(state: Inner) -> Inner:
        await asyncio.sleep(PAUSE_S)
        return {"inner": [f"{state['tag']}:{name}"]}

    return step


async def talk(state: Talk) -> Any:
    text = "".join([str(chunk.content) async for chunk in Parrot(tag=state["tag"]).astream("go on")])
    return {"messages": [AIMessage(content=text, id=f"answer-{state['tag']}")]}


def ask(state: State) -> State:
    return {"log": [f"{state['tag']}:{interrupt('go on?')}"]}


def chain(state: Any, *nodes: tuple[str, Any]) -> Any:
    """A graph of these nodes, one after the other."""
    graph = StateGraph(state)
    previous = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile()


def _steps(names: str) -> list[tuple[str, Any]]:
    return [(name, _step(name)) for name in names]


stepping = chain(State, *((f"s{number}", _step(f"s{number}")) for number in range(STEPS)))
talking = chain(Talk, ("talk", talk))
nesting = chain(Outer, *_steps("ab"), ("sub", chain(Inner, *((name, _inner(name)) for name in "xyz"))), *_steps("cd"))
asking = chain(State, *_steps("ab"), ("ask", ask), *_steps("cd"))
