"""Interrupts of a graph as AG-UI asks for them, and the answers of front ends as LangGraph takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ag_ui.core import Interrupt, ResumeEntry

from waystation.errors import UnprocessableInput
from waystation.threads.current import Current

__all__ = ["BREAKPOINT", "asked", "command_of", "open_interrupts"]

REASON = "langgraph:interrupt"
"""Why a run stops, unless the graph says so itself; AG-UI's other integrations of LangGraph say the same."""

BREAKPOINT = "breakpoint"
"""Id and reason of the stop at a node that the graph or the client has marked: it asks for no more than leave to go on."""

CANCELLED = "__agui_cancelled__"
"""What a graph gets for an interrupt that was dismissed, as from AG-UI's other integrations of LangGraph."""


def open_interrupts(thread: Current) -> list[Interrupt]:
    """What the thread waits for."""
    if thread.at_breakpoint:
        return [Interrupt(id=BREAKPOINT, reason=BREAKPOINT)]
    return [asked(each) for each in thread.interrupts]


def asked(interrupt: Mapping[str, Any]) -> Interrupt:
    """An interrupt ``{id, value[, response_schema]}``. A graph may fill in AG-UI's fields by those names in its value."""
    value = interrupt.get("value")
    said: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    schema = interrupt.get("response_schema") or _first(said, "response_schema", "responseSchema")
    message = value if isinstance(value, str) else _first(said, "message", "question", "description") or _actions(said)
    return Interrupt(
        id=str(interrupt.get("id")),
        reason=_text(said.get("reason")) or REASON,
        message=_text(message),
        tool_call_id=_text(_first(said, "tool_call_id", "toolCallId")),
        response_schema=schema if isinstance(schema, dict) else None,
        expires_at=_text(_first(said, "expires_at", "expiresAt")),
        metadata={"langgraph": {"raw": value}},
    )


def command_of(entries: Sequence[ResumeEntry], thread: Current) -> dict[str, Any] | None:
    """The command that gives these answers; None to go on from a breakpoint. Raises UnprocessableInput for an answer to what was
    not asked."""
    waiting = {interrupt.id for interrupt in open_interrupts(thread)}
    for entry in entries:
        if entry.interrupt_id not in waiting:
            raise UnprocessableInput(
                f"resume: the thread does not wait for an answer to {entry.interrupt_id!r}; "
                f"its open interrupts: {', '.join(sorted(waiting)) or 'none'}."
            )
    if thread.at_breakpoint:
        if entries[0].status == "cancelled":
            raise UnprocessableInput("resume: a breakpoint cannot be cancelled; send a new message instead.")
        return None
    values = {each.get("id"): each.get("value") for each in thread.interrupts}
    return {"resume": {entry.interrupt_id: _answer(entry, values.get(entry.interrupt_id)) for entry in entries}}


def _answer(entry: ResumeEntry, value: Any) -> Any:
    if entry.status == "resolved":
        return entry.payload
    if isinstance(value, Mapping) and isinstance(actions := value.get("action_requests"), list):
        return {"decisions": [{"type": "reject"} for _ in actions]}  # LangChain's own middleware knows no other form
    return {CANCELLED: True, "interrupt_id": entry.interrupt_id}


def _actions(said: Mapping[str, Any]) -> str | None:
    """What LangChain's middleware asks leave for."""
    actions = [each for each in said.get("action_requests") or () if isinstance(each, Mapping)]
    return "\n".join(str(each.get("description") or each.get("name")) for each in actions) or None


def _first(said: Mapping[str, Any], *names: str) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
