"""What is settled about a run of an agent when it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import asdict

__all__ = ["KEY", "Pin"]

KEY = "__waystation_agent"
"""Where a run has its pin in ``configurable``. Clients cannot set such a key, and LangGraph keeps it out of checkpoints."""


class Pin(Struct, frozen=True):
    """For whom a run is, and what it was made from. A run that goes on after a pause has that of the run that paused: other gates
    would not fit the decisions."""

    agent_id: str
    revision: int
    """The number of the agent's revision."""
    user_id: str
    """The UUID of the user whose memory it has, and whose credentials unless the agent's owner lends theirs."""
    workspace: str
    protect_memory: bool

    @classmethod
    def of(cls, configurable: Mapping[str, Any]) -> Self | None:
        """The pin of the run with this `configurable`, if it is one of an agent."""
        found = configurable.get(KEY)
        return None if found is None else cls(**found)

    def as_configurable(self) -> dict[str, Any]:
        """What to add to the run's ``configurable``."""
        return {KEY: asdict(self)}
