"""Letting a run of an agent be stored: who may, what it is pinned to, and whether decisions fit what waits for them.

All of it happens in the transaction that stores the run, while the thread is locked: what was checked still holds then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from waystation.deepagents.agents import queries as agents
from waystation.deepagents.agents.permissions import Level
from waystation.deepagents.decisions import checked_resume
from waystation.deepagents.errors import AccessDenied
from waystation.deepagents.identity import Principal, principal_with
from waystation.deepagents.runs.pin import Pin
from waystation.deepagents.runs.queries import pin_of_state
from waystation.deepagents.threads.queries import owner_members
from waystation.deepagents.timezone import known_timezone
from waystation.errors import Conflict, UnprocessableInput
from waystation.graphs.own import Admission, Arrival
from waystation.reserved import MANAGED_GRAPH

__all__ = ["TIMEZONE", "admit"]

SKIP_PROTECTION = "skip_memory_write_protection"
"""In a thread's metadata: whether the agent may write to its memory without asking."""

TIMEZONE = "user_timezone"


def admit(conn: Connection, arrival: Arrival) -> Admission:
    """See `waystation.graphs.own.OwnGraph`. Raises AgentNotFound and AccessDenied for who may not run the agent; for decisions
    Conflict when nothing waits for them, and UnprocessableInput that says what is wrong with them."""
    principal = principal_with(arrival.access, arrival.identity)
    agent = agents.find(conn, arrival.assistant_id, principal, arrival.access, Level.RUN)
    _require_own_thread(arrival, principal)
    command, pin = arrival.command, None
    if command is not None and command.get("resume") is not None:
        command = {**command, "resume": _checked(arrival, command["resume"])}
        pin = _pin_of_pause(conn, arrival, principal)
    pin = pin or _new_pin(arrival, agent, principal)
    timezone = arrival.configurable.get(TIMEZONE, agent["settings"].get(TIMEZONE))
    added = {**pin.as_configurable(), TIMEZONE: known_timezone(timezone)}
    if arrival.thread is not None and arrival.thread.owner_id is not None:
        return Admission(command, added)
    columns = {"owner_id": principal.user_id, "agent_id": agent["agent_id"]}
    switches = {"is_pinned": False, "is_test_run": False, SKIP_PROTECTION: not pin.protect_memory}
    return Admission(command, added, columns, {**owner_members(principal, agent["agent_id"]), **switches})


def _require_own_thread(arrival: Arrival, principal: Principal) -> None:
    """A thread on which an agent has run is of this agent and of the user whom it ran for: raises Conflict for another agent's, or
    another graph's, and AccessDenied for another user's."""
    thread = arrival.thread
    if thread is None:
        return
    if thread.owner_id is None:
        # It becomes this user's alone, which what others may have done on it must not.
        if thread.metadata.get("graph_id") not in (None, MANAGED_GRAPH):
            raise Conflict("The thread is one of another graph; make another thread for this agent.")
        return
    if thread.owner_id != principal.user_id:
        raise AccessDenied
    if thread.agent_id != arrival.assistant_id:
        raise Conflict(f"The thread is one of the agent {thread.agent_id}; make another thread for this agent.")


def _checked(arrival: Arrival, resume: Any) -> dict[str, Any]:
    """The answers by interrupt, so that they can never be taken for answers to anything else."""
    if arrival.busy:
        raise Conflict("command.resume: the thread has a run in flight; wait until it has paused.")
    if arrival.configurable.get("checkpoint_id") is not None:
        raise UnprocessableInput("command.resume: answers what waits now; leave the checkpoint out.")
    return checked_resume(resume, arrival.interrupts)


def _pin_of_pause(conn: Connection, arrival: Arrival, principal: Principal) -> Pin | None:
    """That of the run that has paused, if it is still there."""
    pin = pin_of_state(conn, arrival.thread_id)
    fits = pin is not None and (pin.agent_id, pin.user_id) == (arrival.assistant_id, principal.user_id)
    return pin if fits else None


def _new_pin(arrival: Arrival, agent: Mapping[str, Any], principal: Principal) -> Pin:
    skips = arrival.thread is not None and arrival.thread.metadata.get(SKIP_PROTECTION) is True
    return Pin(
        agent_id=agent["agent_id"],
        revision=agent["revision_number"],
        user_id=principal.user_id,
        workspace=agent["workspace"],
        protect_memory=not skips,
    )
