"""Graphs that give the run engine a hard time. A *gate* is a file: a node waits until the test creates it."""

from __future__ import annotations

import asyncio
import operator
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt


class State(TypedDict, total=False):
    gate: str
    x: Any
    log: Annotated[list[str], operator.add]


def line(*nodes: tuple[str, Any], state: Any = State, **compile_options: Any) -> Any:
    """A graph of `nodes` one after the other."""
    graph = StateGraph(state)
    previous = START
    for name, node in nodes:
        graph.add_node(name, node)
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile(**compile_options)


def note(name: str) -> Any:
    return lambda state: {"log": [name]}


# --- nodes that wait


def arrive(state: State, how: str = "reached") -> None:
    """Tell the test that a node got here: ``<gate>.reached``."""
    Path(f"{state['gate']}.{how}").touch()


def is_open(state: State) -> bool:
    return Path(state["gate"]).exists()


def count(state: State) -> None:
    """Leave a line in ``<gate>.count``."""
    with open(f"{state['gate']}.count", "a", encoding="utf-8") as file:
        file.write("x\n")


async def pause() -> None:
    await asyncio.sleep(0.005)


async def wait_at_gate(state: State) -> State:
    arrive(state)
    while not is_open(state):
        await pause()
    return {"log": ["gate"]}


gated = line(("first", note("first")), ("gate", wait_at_gate), ("last", note("last")))


async def wait_and_count(state: State) -> State:
    """Tells how often it is executed."""
    count(state)
    return await wait_at_gate(state)


counted = line(("first", note("first")), ("gate", wait_and_count), ("last", note("last")))


async def swallow(state: State) -> State:
    """Takes a cancellation for a hint, and finishes all the same."""
    try:
        await wait_at_gate(state)
    except asyncio.CancelledError:
        arrive(state, "swallowed")
    return {"log": ["swallowed"]}


swallower = line(("first", note("first")), ("swallow", swallow), ("last", note("last")))


async def ignore(state: State) -> State:
    """Cannot be cancelled at all."""
    arrive(state)
    while not is_open(state):
        try:
            await pause()
        except asyncio.CancelledError:
            continue
    arrive(state, "left")
    return {"log": ["ignored"]}


deaf = line(("first", note("first")), ("ignore", ignore), ("last", note("last")))


def block_thread(state: State) -> State:
    arrive(state)
    while not is_open(state):
        time.sleep(0.005)
    arrive(state, "left")
    return {"log": ["blocked"]}


sync_blocker = line(("first", note("first")), ("block", block_thread), ("last", note("last")))


async def block_loop(state: State) -> State:
    arrive(state)
    while not is_open(state):
        time.sleep(0.005)  # noqa: ASYNC251 - that is the point
    arrive(state, "left")
    return {"log": ["blocked"]}


loop_blocker = line(("first", note("first")), ("block", block_loop), ("last", note("last")))


# --- nodes that fail


class Derived(ValueError):
    pass


class Secretive(Exception):
    pass


FAILURES: dict[str, BaseException] = {
    "value": ValueError("bad value"),
    "derived": Derived("bad derived value"),
    "key": KeyError("missing"),
    "type": TypeError("bad type"),
    "attribute": AttributeError("no attribute"),
    "runtime": RuntimeError("bad luck"),
    "timeout": TimeoutError("the node's own time-out"),
    "connection": ConnectionError("postgres://user:password@host"),
    "secretive": Secretive("postgres://user:password@host"),
    "cancelled": asyncio.CancelledError("the node's own"),
}


async def raise_it(state: State) -> State:
    raise FAILURES[state["x"]]


raiser = line(("first", note("first")), ("raise", raise_it))


def again(state: State) -> Command[Any]:
    return Command(goto="again")


_endless = StateGraph(State)
_endless.add_node("again", again)
_endless.add_edge(START, "again")
endless = _endless.compile()


# --- breakpoints that are compiled in


breakpoint = line(("first", note("first")), ("second", note("second")), interrupt_before=["second"])
breakpoint_after = line(("first", note("first")), ("second", note("second")), interrupt_after=["first"])
_inner_breakpoint = line(("one", note("one")), ("two", note("two")), interrupt_before=["two"])
nested_breakpoint = line(("sub", _inner_breakpoint), ("after", note("after")))


def ask_in_sub(state: State) -> State:
    return {"log": [f"told {interrupt('who?')}"]}


_inner_question = line(("one", note("one")), ("ask", ask_in_sub))
deep_question = line(("sub", line(("subsub", _inner_question))), ("after", note("after")))


# --- what a node can see


def show(state: State, config: RunnableConfig) -> State:
    configurable = {k: v for k, v in config["configurable"].items() if not k.startswith(("__", "checkpoint"))}
    seen = {
        "configurable": configurable,
        "metadata": dict(config["metadata"]),
        "tags": config.get("tags"),
        "recursion_limit": config.get("recursion_limit"),
    }
    return {"x": seen}


shown = line(("show", show))


class Context(TypedDict, total=False):
    tone: str


def show_context(state: State, runtime: Runtime[Context]) -> State:
    return {"x": dict(runtime.context or {})}


_contextual = StateGraph(State, context_schema=Context)
_contextual.add_node("show", show_context)
_contextual.add_edge(START, "show")
contextual = _contextual.compile()


# --- commands


_places = StateGraph(State)
for _name in ("a", "b", "c"):
    _places.add_node(_name, note(_name))
    _places.add_edge(_name, END)
_places.add_node("echo", lambda state: {"log": [f"echo {state['x']}"]})
_places.add_edge("echo", END)
_places.add_node("ask", lambda state: {"log": [f"answered {interrupt('?')}"]})
_places.add_edge(START, "ask")
_places.add_edge("ask", END)
places = _places.compile()


# --- messages


async def speak(state: MessagesState) -> Any:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two", id="spoken")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def look_up(state: MessagesState) -> Any:
    return {
        "messages": [
            AIMessage("", id="call", tool_calls=[{"name": "look_up", "args": {"q": "x"}, "id": "call-1"}]),
            ToolMessage("found", tool_call_id="call-1", id="found"),
        ]
    }


_speaker = line(("speak", speak), state=MessagesState)
nested_chat = line(("agent", _speaker), state=MessagesState)
tools = line(("look_up", look_up), ("speak", speak), state=MessagesState)


# --- volume


async def flood(state: State) -> State:
    count, size = state["x"]
    writer = get_stream_writer()
    for number in range(count):
        writer({"number": number, "filler": "x" * size})
        await asyncio.sleep(0)
    return {"log": ["flooded"]}


flooding = line(("flood", flood))


async def tick(state: State) -> State:
    """Writes a numbered line every 5 ms until the gate opens."""
    writer = get_stream_writer()
    number = 0
    while not is_open(state):
        writer({"tick": number})
        number += 1
        await pause()
    return {"log": [f"{number} ticks"]}


ticking = line(("tick", tick))


# --- for the event streaming protocol


gated_below = line(("sub", line(("gate", wait_at_gate))), ("last", note("last")))


async def sing(state: Any) -> Any:
    model = GenericFakeChatModel(messages=iter([AIMessage(f"voice {state['voice']}")]))
    said: Any = None
    async for chunk in model.astream([]):
        said = chunk if said is None else said + chunk
        await asyncio.sleep(0.002)
    return {"messages": [said]}


_choir = StateGraph(MessagesState)
_choir.add_node("sing", sing)
_choir.add_conditional_edges(START, lambda _: [Send("sing", {"voice": n}) for n in range(3)], ["sing"])
choir = _choir.compile()


@tool
def look(what: str, runtime: ToolRuntime) -> str:
    """Looks something up."""
    if what == "secret":
        raise FAILURES["secretive"]
    if what != "ok":
        raise ValueError("no luck")
    runtime.emit_output_delta("half")
    return f"found {what}"


def call_tools(state: MessagesState) -> Any:
    calls = [{"name": "look", "args": {"what": what}, "id": f"call-{what}"} for what in ("ok", "bad")]
    return {"messages": [AIMessage("", tool_calls=calls, id="calls")]}


_agent = StateGraph(MessagesState)
_agent.add_node("model", call_tools)
_agent.add_node("tools", ToolNode([look], handle_tool_errors=True))
_agent.add_edge(START, "model")
_agent.add_edge("model", "tools")
_agent.add_edge("tools", END)
agent = _agent.compile()


class Asked(GenericFakeChatModel):
    """A model that is given tools, and knows beforehand what to say."""

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self


_looking = StateGraph(MessagesState)
_looking.add_node("tools", ToolNode([look], handle_tool_errors=False))
_looking.add_edge(START, "tools")
looking = line(("sub", _looking.compile()), state=MessagesState)
"""Does what the calls of its input say, and fails if a tool does."""


class Dripping(Asked):
    """The same, at 40 tokens a second."""

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> Any:
        for chunk in self._stream(messages, stop, None, **options):
            await asyncio.sleep(0.025)
            yield chunk


def _helper(description: str) -> Any:
    from langchain.agents import create_agent  # a third of a second, which only this graph needs

    if description.isdigit():
        answer = AIMessage(" ".join(f"w{i}" for i in range(int(description))))
        return create_agent(Dripping(messages=iter([answer])), name="helper")
    return create_agent(Asked(messages=iter([AIMessage("found it")])), name="helper")


@tool("task")
async def delegate(description: str, subagent_type: str) -> str:
    """Has somebody else do it, as deep agents do: to count, if it is a number."""
    done = await _helper(description).ainvoke({"messages": [("user", description)]})
    return str(done["messages"][-1].text)


def call_helper(state: MessagesState) -> Any:
    call = {"name": "task", "args": {"description": "look", "subagent_type": "helper"}, "id": "call-delegate"}
    return {"messages": [AIMessage("", tool_calls=[call], id="calls")]}


def call_helpers(state: MessagesState) -> Any:
    """One for each number that the message names, all at the same time."""
    calls = [
        {"name": "task", "args": {"description": number, "subagent_type": "helper"}, "id": f"call-{number}"}
        for number in str(state["messages"][-1].content).split()
    ]
    return {"messages": [AIMessage("", tool_calls=calls)]}


def _delegation(model: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tools", ToolNode([delegate]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model",
        lambda state: [
            Send("tools", {"__type": "tool_call_with_context", "tool_call": call, "state": state})
            for call in state["messages"][-1].tool_calls
        ],
        ["tools"],
    )
    graph.add_edge("tools", END)
    return graph.compile()


delegating = _delegation(call_helper)
delegating_in_parallel = _delegation(call_helpers)
