"""What a run asks of the compiler."""

from __future__ import annotations

from msgspec import Struct

from waystation.deepagents.compile.definition import AgentDefinition
from waystation.deepagents.tool_source import ToolSource

__all__ = ["CompileRequest"]


class CompileRequest(Struct, frozen=True):
    """An agent, and for whom it runs.

    A run that goes on after a pause has to ask for what the paused one asked for: gates that have changed in between would not
    fit the decisions.
    """

    definition: AgentDefinition
    agent_id: str
    user_id: str
    """Whose memory it is, unless the users of the agent share one. Never taken from what a client may choose."""
    name: str = "agent"
    """What traces and messages call the agent."""
    protect_memory: bool = True
    """Whether a person approves what is written to the memory directory."""
    tools: ToolSource | None = None
