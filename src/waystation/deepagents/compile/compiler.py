"""`Compiler`: graphs of agents, made when first needed and kept while they are used."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from typing import Any

from langgraph.pregel import Pregel

from waystation.deepagents.compile.request import CompileRequest
from waystation.deepagents.compile.tools import Servers, ToolsUnavailable, list_servers
from waystation.deepagents.models import Models

__all__ = ["Compiler"]

KEPT = 256
"""Graphs kept at most; the one used longest ago goes first."""


class Compiler:
    """Graphs by what they are made of: definition, memory, gates, and the tools and credentials of the MCP servers.

    A new revision of the agent is another definition and so another graph, while runs that are under way keep theirs. Usable
    from any thread and event loop.
    """

    def __init__(self, models: Models, kept: int = KEPT) -> None:
        self._models = models
        self._kept = kept
        self._graphs: OrderedDict[str, Pregel[Any, Any, Any, Any]] = OrderedDict()
        self._lock = threading.Lock()

    async def graph(self, request: CompileRequest) -> Pregel[Any, Any, Any, Any]:
        """The graph for a run; the same object for the same request, so that it must not be changed.

        Asks the MCP servers for their tools first; a server that fails costs its tools. Raises ModelUnavailable and
        NotSupported with what the owner of the agent has to do.
        """
        servers = await list_servers(request.definition, request.tools)
        key = _key(request, servers)
        with self._lock:
            graph = self._graphs.get(key)
            if graph is not None:
                self._graphs.move_to_end(key)
                return graph
        # In a thread: it takes milliseconds, and the first time seconds, for the import.
        graph = await asyncio.to_thread(self._build, request, servers)
        with self._lock:
            graph = self._graphs.setdefault(key, graph)
            self._graphs.move_to_end(key)
            while len(self._graphs) > self._kept:
                self._graphs.popitem(last=False)
        return graph

    def _build(self, request: CompileRequest, servers: Servers) -> Pregel[Any, Any, Any, Any]:
        from waystation.deepagents.compile.graph import build_graph

        return build_graph(request, servers, self._models.chat_model)


def _key(request: CompileRequest, servers: Servers) -> str:
    """The identity of what `request` asks for."""
    parts = [request.definition.digest(), request.agent_id, request.user_id, request.name, str(request.protect_memory)]
    for url, server in sorted(servers.items()):
        state = f"missing {server}" if isinstance(server, ToolsUnavailable) else f"version {server.version}"
        parts += [url, state]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()
