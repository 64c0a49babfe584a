"""`ManagedGraph`: the graph of all agents. Which agent a use is about, and for whom, its config says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from msgspec.structs import replace
from sqlalchemy import Connection

from waystation.deepagents.compile import AgentDefinition, Compiler, CompileRequest, Skill, Toolbox
from waystation.deepagents.models import Models, StandIns
from waystation.deepagents.runs.admission import admit
from waystation.deepagents.runs.definitions import Definitions
from waystation.deepagents.runs.errors import AgentDeleted
from waystation.deepagents.runs.pin import Pin
from waystation.deepagents.runs.queries import pin_of_state
from waystation.deepagents.tool_source import ToolSource
from waystation.errors import BadInput, NotFound
from waystation.graphs.access import AccessContext, AnyGraph, adopted
from waystation.graphs.own import Admission, Arrival
from waystation.reserved import MANAGED_GRAPH
from waystation.storage.database import Database
from waystation.store import Store

__all__ = ["ManagedGraph"]

ANY_AGENT = AgentDefinition(
    skills=(Skill("any", "Any.", "skills/any"),),
    toolbox=Toolbox(interrupt_config={"write_file": True}),
    files={"skills/any/SKILL.md": "---\nname: any\ndescription: Any.\n---\n"},
)
"""Has every node and channel that a graph of an agent can have."""

NOBODY = "nobody"
"""The user of a graph that is not run."""


class ManagedGraph:
    """A graph of the server's own (`waystation.graphs.own`).

    A run is compiled from the revision that it is pinned to. To look at an agent, or to write the state of a thread, the same is
    done with a model that stands in for the agent's and without MCP servers. To read a thread takes no agent: there is one graph that can
    read them all, also when their agent is gone.
    """

    made_at = "/v1/deepagents/agents/{assistant_id}"

    def __init__(self, db: Database, models: Models, memory: Store, tools: Callable[[str], ToolSource]) -> None:
        """`memory` is where agents keep theirs; it is no part of what clients see of the store. `tools` are those of MCP servers, by
        the workspace that they are registered in."""
        self._db = db
        self._definitions = Definitions(db)
        self._tools = tools
        self._memory = memory
        self._running = Compiler(models)
        self._still = Compiler(StandIns())

    def admit(self, conn: Connection, arrival: Arrival) -> Admission:
        return admit(conn, arrival)

    def open(
        self, *, config: RunnableConfig, access_context: AccessContext, saver: BaseCheckpointSaver[Any] | None
    ) -> AbstractAsyncContextManager[AnyGraph]:
        """Raises AgentDeleted for a run whose agent is gone, ModelUnavailable and NotSupported for one whose agent cannot run here."""
        return self._open(config.get("configurable") or {}, access_context, saver)

    @asynccontextmanager
    async def _open(
        self, configurable: Mapping[str, Any], access_context: AccessContext, saver: BaseCheckpointSaver[Any] | None
    ) -> AsyncIterator[AnyGraph]:
        store: Store | None = None
        if access_context == "threads.create_run":
            pin = Pin.of(configurable)
            if pin is None:
                raise BadInput("The run names no agent.")
            graph, store = await self._for_run(pin), self._memory.within(pin.workspace)
        elif access_context == "assistants.read":
            graph = await self._shown(configurable["assistant_id"])
        elif access_context == "threads.update":
            graph = await self._of_thread(configurable["thread_id"])
        else:
            graph = await self._any()
        yield adopted(graph, MANAGED_GRAPH, store, saver)

    async def _for_run(self, pin: Pin) -> AnyGraph:
        definition = await self._definitions.at(pin.agent_id, pin.revision)
        if definition is None:
            raise AgentDeleted
        request = CompileRequest(
            definition,
            agent_id=pin.agent_id,
            user_id=pin.user_id,
            protect_memory=pin.protect_memory,
            tools=self._tools(pin.workspace),
        )
        return await self._running.graph(request)

    async def _shown(self, agent_id: str) -> AnyGraph:
        definition = await self._definitions.at(agent_id)
        if definition is None:
            raise NotFound(f"There is no agent {agent_id}.")
        return await self._unrun(definition)

    async def _of_thread(self, thread_id: str) -> AnyGraph:
        """The graph by which the thread came to its present state."""
        pin = await self._db.read(pin_of_state, thread_id)
        definition = None if pin is None else await self._definitions.at(pin.agent_id, pin.revision)
        if pin is None or definition is None:
            return await self._any()
        return await self._unrun(definition, protect_memory=pin.protect_memory)

    async def _any(self) -> AnyGraph:
        return await self._unrun(ANY_AGENT)

    async def _unrun(self, definition: AgentDefinition, *, protect_memory: bool = True) -> AnyGraph:
        # It runs no commands, so it needs no sandbox.
        request = CompileRequest(
            replace(definition, backend="state"), agent_id=NOBODY, user_id=NOBODY, protect_memory=protect_memory
        )
        return await self._still.graph(request)
