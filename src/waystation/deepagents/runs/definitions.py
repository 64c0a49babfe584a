"""What agents are, by revision: read from the database once and kept, for a revision never changes."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from waystation.deepagents.agents import queries as agents
from waystation.deepagents.compile import AgentDefinition, parse_tree
from waystation.storage.database import Database

__all__ = ["Definitions"]

KEPT = 256
"""Definitions kept at most; the one used longest ago goes first."""


class Definitions:
    """The definitions of a server's agents. Usable from any thread and event loop."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: OrderedDict[tuple[str, int], AgentDefinition] = OrderedDict()
        self._lock = threading.Lock()

    async def at(self, agent_id: str, number: int | None = None) -> AgentDefinition | None:
        """The definition of the revision `number`, or of the newest; None if the agent is gone. Model and backend are no part of a
        revision: they are what the agent has now. Raises UnprocessableInput for files that define no agent."""
        agent = await self._db.lookup(agents.row_of, agent_id)
        if agent is None:
            return None
        key = agent_id, agent["revision_number"] if number is None else number
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is None:
            files = await self._db.read(agents.files_at, *key)
            if files is None:
                return None
            found = await asyncio.to_thread(parse_tree, files)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return _with(found, agent["settings"])


def _with(definition: AgentDefinition, settings: Mapping[str, Any]) -> AgentDefinition:
    model = (settings.get("runtime") or {}).get("model") or {}
    backend = (settings.get("backend") or {}).get("type", "state")
    return replace(definition, model=model.get("model_id"), backend=backend)
