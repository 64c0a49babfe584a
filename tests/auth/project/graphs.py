"""Graphs that say whose run they are."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import ServerRuntime


class State(TypedDict, total=False):
    said: str


def _tell(config: RunnableConfig, runtime: Runtime[Any]) -> State:
    configurable = config["configurable"]
    user = configurable.get("langgraph_auth_user")
    told = {
        "user": None if user is None else dict(user),
        "attributes": None if user is None else [user.identity, user.get("org"), list(user.permissions)],
        "user_id": configurable.get("langgraph_auth_user_id"),
        "permissions": configurable.get("langgraph_auth_permissions"),
        "user_of_the_run": configurable.get("user_id"),
        "of_the_runtime": getattr(getattr(runtime.server_info, "user", None), "identity", None),
    }
    return {"said": json.dumps(told)}


async def tell(state: State, config: RunnableConfig, runtime: Runtime[Any]) -> State:
    return _tell(config, runtime)


def tell_sync(state: State, config: RunnableConfig, runtime: Runtime[Any]) -> State:
    return _tell(config, runtime)


def remember(state: State, *, store: BaseStore) -> State:
    """What the store knows; then it knows one thing more."""
    known = [item.key for item in store.search(())]
    store.put(("memory",), f"note {len(known)}", {"n": len(known)})
    return {"said": json.dumps(sorted(known))}


def _graph(name: str, node: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node(name, node)
    graph.add_edge(START, name)
    graph.add_edge(name, END)
    return graph


whoami = _graph("tell", tell).compile()
whoami_sync = _graph("tell", tell_sync).compile()
memory = _graph("remember", remember).compile()


def made(config: RunnableConfig, runtime: ServerRuntime[Any]) -> Any:
    name = runtime.user.identity if runtime.user is not None else "nobody"
    return _graph(name, lambda state: {"said": f"made for {name}"})
