"""`RemoteGraph`: a graph on the server behaves like a local one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client
from typing_extensions import TypedDict

Remote = Callable[[str], RemoteGraph]


@pytest.fixture
async def remote(url: str) -> AsyncIterator[Remote]:
    """Makes the graph of an id. Its clients are closed at the end, which `RemoteGraph` leaves to its user."""
    async with get_client(url=url, api_key=None) as client:
        with get_sync_client(url=url, api_key=None) as sync_client:
            yield partial(RemoteGraph, client=client, sync_client=sync_client)


@pytest.fixture
def config(url: str) -> RunnableConfig:
    """The configuration of a new thread."""
    return {"configurable": {"thread_id": httpx.post(f"{url}/threads", json={}).json()["thread_id"]}}


async def test_invoke(remote: Remote) -> None:
    assert remote("echo").invoke({"x": "a"}) == {"x": "a!", "n": 1, "log": []}
    assert await remote("echo").ainvoke({"x": "a"}) == {"x": "a!", "n": 1, "log": []}


async def test_thread_keeps_its_state(remote: Remote, config: RunnableConfig) -> None:
    graph = remote("echo")
    graph.invoke({"x": "a"}, config)
    assert (await graph.ainvoke({"x": "b"}, config))["n"] == 2


def test_one_stream_mode(remote: Remote) -> None:
    chunks = list(remote("nested").stream({"x": "a"}, stream_mode="updates"))
    assert [list(chunk) for chunk in chunks] == [["before"], ["sub"], ["after"]]


async def test_several_stream_modes(remote: Remote) -> None:
    chunks = [chunk async for chunk in remote("echo").astream({"x": "a"}, stream_mode=["values", "updates"])]
    told: list[Any] = [tuple(chunk)[:2] for chunk in chunks]
    assert told == [
        ("values", {"x": "a", "log": []}),
        ("updates", {"echo": {"x": "a!", "n": 1}}),
        ("values", {"x": "a!", "n": 1, "log": []}),
    ]


def test_messages(remote: Remote) -> None:
    given = {"messages": [{"role": "user", "content": "3"}]}
    chunks: list[Any] = list(remote("chat").stream(given, stream_mode="messages"))
    assert "".join(chunk["content"] for chunk, _ in chunks) == "w0 w1 w2"


def test_custom_events(remote: Remote) -> None:
    chunks = list(remote("custom").stream({"x": "a"}, stream_mode="custom"))
    assert chunks == [{"progress": 1}, {"progress": 2}]


def test_subgraphs(remote: Remote) -> None:
    chunks: list[Any] = list(remote("nested").stream({"x": "a"}, stream_mode="updates", subgraphs=True))
    assert [(len(namespace), next(iter(update))) for namespace, update in chunks] == [
        (0, "before"),
        (1, "one"),
        (1, "two"),
        (0, "sub"),
        (0, "after"),
    ]


async def test_state(remote: Remote, config: RunnableConfig) -> None:
    graph = remote("echo")
    graph.invoke({"x": "a"}, config)
    state = graph.get_state(config)
    assert (state.values, state.next) == ({"x": "a!", "n": 1, "log": []}, ())
    assert await graph.aget_state(config) == state
    history = list(graph.get_state_history(config))
    assert [each.values.get("x") for each in history] == ["a!", "a", None]
    assert [each async for each in graph.aget_state_history(config, limit=1)] == history[:1]
    earlier = list(graph.get_state_history(config, before=history[0].config, limit=5))
    assert [each.config for each in earlier] == [each.config for each in history[1:]]
    assert list(graph.get_state_history(config, filter={"source": "input"})) == history[2:]


async def test_update_state(remote: Remote, config: RunnableConfig) -> None:
    graph = remote("echo")
    graph.invoke({"x": "a"}, config)
    before = list(graph.get_state_history(config))[1]
    forked = graph.update_state(before.config, {"x": "forked"})
    assert graph.get_state(forked).values["x"] == "forked"
    assert graph.invoke(None, forked)["x"] == "forked!"
    edited = await graph.aupdate_state(config, {"x": "edited"}, as_node="echo")
    assert (await graph.aget_state(edited)).values["x"] == "edited"


async def test_interrupt_and_resume(remote: Remote, config: RunnableConfig) -> None:
    graph = remote("hitl")
    asked = graph.invoke({"x": "a"}, config)
    assert asked["__interrupt__"][0]["value"] == {"question": "ok?"}
    state = graph.get_state(config)
    assert (state.next, state.interrupts[0].value) == (("ask",), {"question": "ok?"})
    done = await graph.ainvoke(Command(resume="yes"), config)
    assert done["x"] == "yes!"


def test_static_interrupt(remote: Remote, config: RunnableConfig) -> None:
    graph = remote("nested")
    graph.invoke({"x": "a"}, config, interrupt_before=["after"])
    assert graph.get_state(config).next == ("after",)
    assert graph.invoke(None, config)["x"] == "a!!"


def test_state_of_subgraphs(remote: Remote, config: RunnableConfig) -> None:
    graph = remote("nested_hitl")
    graph.invoke({"x": "a"}, config)
    outer = graph.get_state(config, subgraphs=True)
    inner: Any = outer.tasks[0].state
    assert (inner.next, inner.interrupts[0].value) == (("ask",), {"question": "ok?"})


async def test_drawing(remote: Remote) -> None:
    graph = remote("nested")
    assert set(graph.get_graph().nodes) == {"__start__", "before", "sub", "after", "__end__"}
    assert {"sub:one", "sub:two"} < set((await graph.aget_graph(xray=True)).nodes)


def test_failure(remote: Remote) -> None:
    with pytest.raises(RemoteException, match="the node failed"):
        remote("failing").invoke({"x": "a"})


def test_thread_is_created_on_first_use(remote: Remote) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": str(uuid4())}}
    remote("echo").invoke({"x": "a"}, config)
    assert remote("echo").get_state(config).values["x"] == "a!"


class Outer(TypedDict, total=False):
    x: str


def test_as_a_node_of_a_local_graph(remote: Remote) -> None:
    builder = StateGraph(Outer)
    builder.add_node("remote", remote("echo"))
    builder.add_edge(START, "remote")
    builder.add_edge("remote", END)
    assert builder.compile().invoke({"x": "a"})["x"] == "a!"


def test_interrupt_reaches_the_local_graph_around_it(remote: Remote, config: RunnableConfig) -> None:
    with pytest.raises(GraphInterrupt):
        list(remote("hitl").stream({"x": "a"}, {"configurable": {**config["configurable"], "checkpoint_ns": "outer"}}))
