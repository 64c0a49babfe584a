"""`Compiler`: graphs of agents, made when first needed and kept while they are used."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from langgraph.pregel import Pregel

from waystation.deepagents.compile import memory
from waystation.deepagents.compile.request import CompileRequest
from waystation.deepagents.compile.tools import Servers, list_servers
from waystation.deepagents.models import Models
from waystation.deepagents.tool_source import ToolsUnavailable
from waystation.errors import NotSupported

__all__ = ["Compiler"]

KEPT = 256
"""Graphs kept at most; the one used longest ago goes first."""

Graph = Pregel[Any, Any, Any, Any]


class Compiler:
    """Graphs by what they are made of: definition, gates, and the tools of the MCP servers.

    A new revision of the agent is another definition and so another graph, while runs that are under way keep theirs. Making one
    takes 50 ms for the agent and each subagent, so all users share it. Usable from any thread and event loop.
    """

    def __init__(self, models: Models, kept: int = KEPT) -> None:
        self._models = models
        self._kept = kept
        self._graphs: OrderedDict[str, Future[Graph]] = OrderedDict()
        """By key; those that are being made too, so that runs that start together wait for one."""
        self._lock = threading.Lock()

    async def graph(self, request: CompileRequest) -> Graph:
        """The graph for a run, without checkpointer and store.

        Asks the MCP servers for their tools first; a server that fails costs its tools. Raises ModelUnavailable and
        NotSupported with what the owner of the agent has to do.
        """
        servers = await list_servers(request.definition, request.tools)
        key = _key(request, servers)
        with self._lock:
            future = self._graphs.get(key)
            first = future is None
            if future is None:
                future = self._graphs[key] = Future()
                future.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel it for the others
            self._graphs.move_to_end(key)
            while len(self._graphs) > self._kept:
                self._graphs.popitem(last=False)
        if first:
            # In a thread of its own, which a cancelled run does not take along. The first time there is an import of seconds.
            threading.Thread(
                target=self._make, args=(key, future, request, servers), name="compile", daemon=True
            ).start()
        graph = future.result() if future.done() else await asyncio.wrap_future(future)
        namespace = memory.memory_namespace(request.agent_id, request.user_id, request.definition.memory)
        return graph.with_config({"configurable": {memory.NAMESPACE: namespace}})

    def _make(self, key: str, future: Future[Graph], request: CompileRequest, servers: Servers) -> None:
        try:
            graph = _builder()(request, servers, self._models.chat_model)
        except BaseException as error:  # noqa: BLE001 - for whoever waits
            with self._lock:
                if self._graphs.get(key) is future:
                    del self._graphs[key]
            future.set_exception(error)
        else:
            future.set_result(graph)


def _builder() -> Callable[..., Graph]:
    """What makes graphs. Raises NotSupported where the library is not installed."""
    try:
        from waystation.deepagents.compile.graph import build_graph
    except ModuleNotFoundError as error:
        raise NotSupported(
            f"Agents need the module {error.name}, which is not installed: pip install 'waystation[deepagents]'."
        ) from None
    return build_graph


def _key(request: CompileRequest, servers: Servers) -> str:
    """The identity of what `request` asks for, apart from whose memory it is."""
    parts = [request.definition.digest(), request.name, str(request.protect_memory)]
    for url, server in sorted(servers.items()):
        state = f"missing {server}" if isinstance(server, ToolsUnavailable) else f"version {server.version}"
        parts += [url, state]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()
