"""What goes wrong with runs of agents only."""

from __future__ import annotations

from waystation import errors

__all__ = ["AgentDeleted"]


class AgentDeleted(errors.WaystationError):
    """The agent of this run was deleted before the run started."""
