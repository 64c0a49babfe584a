"""`ThreadState`, the wire form of a LangGraph `StateSnapshot` (spec 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.types import Interrupt, PregelTask, StateSnapshot

from waystation.threads.checkpoint import checkpoint_of

__all__ = ["SCHEMA", "empty_state", "interrupts_by_task", "thread_state", "wire_interrupt"]

_CHECKPOINT = {
    "type": ["object", "null"],
    "properties": {
        "thread_id": {"type": "string"},
        "checkpoint_ns": {"type": "string"},
        "checkpoint_id": {"type": "string"},
        "checkpoint_map": {"type": "object"},
    },
}
_INTERRUPTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "value": {}, "response_schema": {"type": "object"}},
    },
}
_TASK = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "path": {"type": "array"},
        "error": {"type": ["string", "null"]},
        "interrupts": _INTERRUPTS,
        "checkpoint": _CHECKPOINT,
        "state": {"type": ["object", "null"]},
        "result": {},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "values": {},
        "next": {"type": "array", "items": {"type": "string"}},
        "tasks": {"type": "array", "items": _TASK},
        "metadata": {"type": ["object", "null"]},
        "created_at": {"type": ["string", "null"]},
        "checkpoint": _CHECKPOINT,
        "parent_checkpoint": _CHECKPOINT,
        "interrupts": _INTERRUPTS,
        "checkpoint_id": {"type": ["string", "null"]},
        "parent_checkpoint_id": {"type": ["string", "null"]},
    },
}
"""JSON schema of a ThreadState, for the OpenAPI page."""


def thread_state(snapshot: StateSnapshot) -> dict[str, Any]:
    """`snapshot` as a ThreadState. Values stay Python objects: `waystation.encoding` makes JSON of them.

    A snapshot of a checkpoint that does not exist has empty values; it echoes the checkpoint that was asked for.
    """
    if snapshot.metadata is None:
        return empty_state(checkpoint_of(snapshot.config))
    checkpoint = checkpoint_of(snapshot.config) or {}
    parent = checkpoint_of(snapshot.parent_config)
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": {**snapshot.metadata, "thread_id": checkpoint.get("thread_id")},
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [wire_interrupt(interrupt) for interrupt in snapshot.interrupts],
        "checkpoint_id": checkpoint.get("checkpoint_id"),
        "parent_checkpoint_id": parent.get("checkpoint_id") if parent else None,
    }


def empty_state(checkpoint: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The state of a thread that never ran, or of a `checkpoint` it does not have."""
    asked = checkpoint or {}
    return {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": None,
        "created_at": None,
        "checkpoint": dict(asked) if asked.get("checkpoint_id") or asked.get("checkpoint_ns") else None,
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": asked.get("checkpoint_id"),
        "parent_checkpoint_id": None,
    }


def interrupts_by_task(snapshot: StateSnapshot) -> dict[str, list[dict[str, Any]]]:
    """``{task_id: [interrupt, ...]}`` for the tasks that wait for an answer: the thread's ``interrupts`` (spec 3.1)."""
    return {task.id: [wire_interrupt(i) for i in task.interrupts] for task in snapshot.tasks if task.interrupts}


def wire_interrupt(interrupt: Interrupt) -> dict[str, Any]:
    """``{id, value[, response_schema]}``."""
    wire = {"id": interrupt.id, "value": interrupt.value}
    if interrupt.response_schema is not None:
        wire["response_schema"] = interrupt.response_schema
    return wire


def _task(task: PregelTask) -> dict[str, Any]:
    nested = isinstance(task.state, StateSnapshot)
    return {
        "id": task.id,
        "name": task.name,
        "path": task.path,
        "error": None if task.error is None else _error_text(task.error),
        "interrupts": [wire_interrupt(interrupt) for interrupt in task.interrupts],
        "checkpoint": None if nested else checkpoint_of(task.state),  # type: ignore[arg-type]
        "state": thread_state(task.state) if nested else None,  # type: ignore[arg-type]
        "result": task.result,
    }


def _error_text(error: Any) -> str:
    """The exception's repr, which is also what a stored exception is read back as."""
    return error if isinstance(error, str) else repr(error)
