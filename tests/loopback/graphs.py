"""Graphs that call the server they run on, with the SDK's client without a URL."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client

client = get_client()
"""Made when the module is imported: there is no server yet."""

mark: ContextVar[str | None] = ContextVar("mark", default=None)


class State(TypedDict, total=False):
    x: Any
    headers: dict[str, str]


def graph(node: Any) -> Any:
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()


async def _caller(state: State) -> State:
    """Has another graph work."""
    return {"x": await client.runs.wait(None, "answerer", input={"x": state["x"]})}


async def _answerer(state: State, config: RunnableConfig) -> State:
    user = config["configurable"].get("langgraph_auth_user") or {}
    return {"x": [state["x"], mark.get(), user.get("identity"), config["metadata"].get("langgraph_checkpoint_ns", "")]}


async def _marked(state: State) -> State:
    mark.set("the caller's")
    return await _caller(state)


def _blocking(state: State) -> State:
    """The same from a node that is no coroutine, with an event loop of its own."""

    async def ask() -> Any:
        async with get_client() as own:
            return await own.runs.wait(None, "answerer", input={"x": state["x"]})

    return {"x": asyncio.run(ask())}


async def _threads(state: State) -> State:
    """Makes a thread, and counts all it can see, with the given headers."""
    async with get_client(headers=state.get("headers")) as own:
        made = await own.threads.create()
        return {"x": [made["thread_id"], await own.threads.count()]}


async def _relay(state: State) -> State:
    """Passes on what another graph streams, as it comes."""
    write = get_stream_writer()
    async for part in client.runs.stream(None, "waiter", input={"x": state["x"]}, stream_mode="custom"):
        if part.event == "custom":
            write(part.data)
    return {"x": "done"}


async def _waiter(state: State) -> State:
    """Says so at once, and ends when there is a file of this name."""
    get_stream_writer()({"began": True})
    while not Path(state["x"]).exists():  # noqa: ASYNC110, ASYNC240 - what the test makes
        await asyncio.sleep(0.01)
    return {"x": "passed"}


async def _late(state: State) -> State:
    """Makes a thread when there is a file of this name."""
    Path(f"{state['x']}.reached").touch()  # noqa: ASYNC240
    await _waiter(state)
    await client.threads.create(metadata={"late": True})
    return {}


async def _leaving(state: State) -> State:
    """Follows a run that ends when nobody follows it, and stops after the first word."""
    thread = await client.threads.create()
    stream = client.runs.stream(
        thread["thread_id"], "waiter", input={"x": state["x"]}, stream_mode="custom", on_disconnect="cancel"
    )
    async for part in stream:
        if part.event == "custom":
            break
    await stream.aclose()  # type: ignore[attr-defined]
    return {"x": thread["thread_id"]}


caller, answerer, marked, blocking = graph(_caller), graph(_answerer), graph(_marked), graph(_blocking)
threads, relay, waiter, leaving = graph(_threads), graph(_relay), graph(_waiter), graph(_leaving)
late = graph(_late)
