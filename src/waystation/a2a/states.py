"""The states of a task, and how the two generations of the protocol write them (spec 14)."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "IN_FLIGHT",
    "TERMINAL",
    "Generation",
    "Scope",
    "State",
    "parse_state",
    "state_of",
    "wire_role",
    "wire_state",
]

Generation = Literal["legacy", "new"]
"""``legacy``: methods like ``message/send`` (A2A up to 0.3); ``new``: ``SendMessage`` (1.0)."""

Scope = Literal["context", "task"]
"""Of a history: the whole conversation, or what belongs to the task."""

State = Literal["submitted", "working", "completed", "input-required", "canceled", "failed"]

IN_FLIGHT: frozenset[State] = frozenset({"submitted", "working"})
TERMINAL: frozenset[State] = frozenset({"completed", "canceled", "failed"})

_OF_RUNS: dict[str, State] = {
    "pending": "submitted",
    "running": "working",
    "success": "completed",
    "error": "failed",
    "timeout": "failed",
}
"""Every other run was cancelled: ``interrupted``, ``rollback``, or gone."""

PREFIX = "TASK_STATE_"


def state_of(run_status: str | None, *, awaits: bool) -> State:
    """The state of a task whose latest run has this status, None if it is gone. `awaits` says whether the graph has stopped there to
    be answered."""
    if run_status == "success" and awaits:
        return "input-required"
    return _OF_RUNS.get(run_status or "", "canceled")


def wire_state(state: State, generation: Generation) -> str:
    """`state` as clients of the `generation` know it."""
    return state if generation == "legacy" else PREFIX + state.upper().replace("-", "_")


def wire_role(role: Literal["user", "agent"], generation: Generation) -> str:
    """`role` as clients of the `generation` know it."""
    return role if generation == "legacy" else f"ROLE_{role.upper()}"


def parse_state(text: str) -> str:
    """The state that a client names in either way. It may be one that tasks never have here."""
    return text.removeprefix(PREFIX).lower().replace("_", "-")
