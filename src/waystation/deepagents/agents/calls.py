"""A request about agents: who sent it, and what it does with the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.deepagents.agents import queries
from waystation.deepagents.agents.permissions import Level
from waystation.deepagents.agents.queries import Commit
from waystation.deepagents.errors import AgentNotFound, InvalidAgent, StaleRevision
from waystation.deepagents.files.definition import definition_of
from waystation.deepagents.files.tree import Files
from waystation.deepagents.identity import Principal, principal_of
from waystation.deepagents.model_names import fault_of
from waystation.http.authorization import allowed, metadata_of
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.server import Server

__all__ = ["ATTEMPTS", "Call", "agent_uuid", "checked_commit"]

ATTEMPTS = 5
"""How often a change is made anew because somebody else was quicker."""

Change = Callable[[dict[str, Any], Files], tuple[Mapping[str, Any], Files | None]]
"""From an agent's row and files: changes of columns, and the tree if that is to be another. Run on a thread of its own."""


class Call(Struct, frozen=True):
    """Who asks, after the project's handlers have been asked as well: an agent is an assistant to them."""

    server: Server
    principal: Principal
    access: Access
    metadata: Mapping[str, Any]
    """What the handlers want to be noted on the agent."""

    @property
    def models(self) -> Collection[str]:
        """The models that can be named without a provider."""
        return self.server.config.models

    @classmethod
    async def of(cls, request: Request, action: str, value: Mapping[str, Any]) -> Call:
        """Raises AccessDenied for another workspace, and what `waystation.http.authorization.allowed` does."""
        principal = principal_of(request)
        asked = {"metadata": {}, **value}
        access = await allowed(request, "assistants", action, asked)
        return cls(request.app.state.server, principal, access, metadata_of(asked))

    async def require(self, agent_id: str, needed: Level) -> dict[str, Any]:
        """The agent's row. Raises AgentNotFound and AccessDenied."""
        return await self.server.db.read(queries.find, agent_id, self.principal, self.access, needed)

    async def load(self, agent_id: str, needed: Level) -> tuple[dict[str, Any], dict[str, str]]:
        """The agent's row and files. Raises AgentNotFound and AccessDenied."""
        return await self.server.db.read(queries.load, agent_id, self.principal, self.access, needed)

    async def change(self, agent_id: str, change: Change) -> tuple[dict[str, Any], Files]:
        """Apply `change` to the agent as it is when it is stored; its row and files then. Raises what `change` raises,
        AgentNotFound, AccessDenied, and StaleRevision if others are quicker all the time."""
        for _ in range(ATTEMPTS):
            before, files = await self.load(agent_id, Level.WRITE)
            changes, changed = await asyncio.to_thread(change, before, files)
            commit = None
            if changed is not None:
                commit = await asyncio.to_thread(checked_commit, changed, self.models, files)
            if self.metadata:
                changes = {**changes, "metadata": {**before["metadata"], **self.metadata}}
            now = now_us()
            after = await self.server.db.write(queries.change, before, changes, commit, self.principal, now)
            if after is not None:
                return after, files if changed is None else changed
        raise StaleRevision


def checked_commit(files: Files, models: Collection[str], before: Files | None = None) -> Commit:
    """The tree as a revision. Raises InvalidAgent for one that cannot be compiled: it cannot be read, or a subagent names a model
    that is none of the configured `models` and that no subagent named `before`."""
    for name in _model_names(files):
        fault = fault_of(name, models)
        if fault is not None and name not in _model_names(before or {}):
            raise InvalidAgent(f"correct the model_id of a subagent: {fault}")
    return Commit.of(files)


def _model_names(files: Files) -> list[str]:
    named = (each.get("model_id", "").strip() for each in definition_of(files).subagents)
    return [name for name in named if name]


def agent_uuid(text: str) -> str:
    """The id in a path. What cannot be one is the id of no agent: raises AgentNotFound."""
    try:
        return str(UUID(text))
    except ValueError:
        raise AgentNotFound from None
