"""Tasks, messages and events as clients see them (spec 14)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from waystation.a2a.states import Generation, Scope, State, wire_role, wire_state
from waystation.encoding import encode
from waystation.messages.content import conversation_of
from waystation.timestamps import iso

__all__ = ["HISTORY", "Task", "View", "artifact_update", "artifacts_of", "status_update", "task_to_wire", "text_of"]

HISTORY = 10
"""Messages of the history when the client does not say."""

Parts = list[dict[str, Any]]


class Task(Struct, frozen=True):
    """A task and what its latest run has left behind."""

    task_id: str
    context_id: str
    state: State
    updated_at: int
    """Microseconds since the epoch."""
    message_id: str | None = None
    """The id of the message that it began with."""
    values: Any = None
    """The graph's state as plain JSON; None when it is not known."""
    interrupts: Sequence[Mapping[str, Any]] = field(default=())
    """What the graph asks: ``{id, value}`` each."""
    error: Mapping[str, Any] | None = None


class View(Struct, frozen=True):
    """How a client wants to see tasks."""

    generation: Generation
    history_length: int = HISTORY
    scope: Scope = "context"
    artifacts: bool = True


def task_to_wire(task: Task, view: View) -> dict[str, Any]:
    """The Task object."""
    wire: dict[str, Any] = {
        "kind": "task",
        "id": task.task_id,
        "contextId": task.context_id,
        "status": _status(task, view.generation),
    }
    if view.history_length:
        wire["history"] = list(_history(task, view))[-view.history_length :]
    if view.artifacts:
        wire["artifacts"] = artifacts_of(task, view.generation)
    return wire


def artifacts_of(task: Task, generation: Generation) -> list[dict[str, Any]]:
    """What the task has brought: the agent's last words or, where it has said nothing, the graph's state; or what it asks."""
    if task.state == "input-required":
        asked = [{"id": each.get("id"), "value": each.get("value")} for each in task.interrupts]
        parts = [_data(each) for each in asked]
        return [{"artifactId": "interrupt", "name": "Interrupt", "parts": parts}] if parts else []
    if task.state != "completed" or task.values is None:
        return []
    all_said = [list(_parts(each.get("content"), generation)) for each in _of_task(task) if _role(each) == "agent"]
    said = [parts for parts in all_said if parts]
    parts = said[-1] if said else [_whole(task.values)]
    return [{"artifactId": "result", "name": "Result", "parts": parts}]


def status_update(
    task: Task, generation: Generation, *, final: bool, said: tuple[str, str] | None = None
) -> dict[str, Any]:
    """The event that tells of the task's state; `said` is the id and the text of what the agent has said so far."""
    status = _status(task, generation)
    if said is not None:
        status["message"] = _message(task, "agent", [_text(said[1])], said[0], generation)
    return {
        "kind": "status-update",
        "taskId": task.task_id,
        "contextId": task.context_id,
        "status": status,
        "final": final,
    }


def artifact_update(task: Task, artifact: Mapping[str, Any]) -> dict[str, Any]:
    """The event that brings an artifact, all of it at once."""
    return {
        "kind": "artifact-update",
        "taskId": task.task_id,
        "contextId": task.context_id,
        "artifact": artifact,
        "append": False,
        "lastChunk": True,
    }


def text_of(content: Any) -> str:
    """The text in the content of a LangChain message."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        each if isinstance(each, str) else str(each.get("text", ""))
        for each in blocks
        if isinstance(each, str) or (isinstance(each, Mapping) and each.get("type") == "text")
    )


def _status(task: Task, generation: Generation) -> dict[str, Any]:
    status: dict[str, Any] = {"state": wire_state(task.state, generation), "timestamp": iso(task.updated_at)}
    parts: Parts = []
    if task.state == "failed":
        error = task.error or {"error": "RunFailed", "message": "The run failed."}
        parts = [_text(f"{error.get('error')}: {error.get('message')}")]
    elif task.state == "input-required":
        values = [each.get("value") for each in task.interrupts]
        parts = [_text(value) if isinstance(value, str) else _data(_object(value)) for value in values]
    if parts:
        status["message"] = _message(task, "agent", parts, f"{task.task_id}:status", generation)
    return status


def _history(task: Task, view: View) -> Iterator[dict[str, Any]]:
    messages = _of_task(task) if view.scope == "task" else conversation_of(task.values)
    for number, message in enumerate(messages):
        role = _role(message)
        if role is not None and (parts := list(_parts(message.get("content"), view.generation))):
            message_id = str(message.get("id") or f"{task.context_id}:{number}")
            yield _message(task, role, parts, message_id, view.generation)


def _message(
    task: Task, role: Literal["user", "agent"], parts: Parts, message_id: str, generation: Generation
) -> dict[str, Any]:
    return {
        "kind": "message",
        "role": wire_role(role, generation),
        "parts": parts,
        "messageId": message_id,
        "taskId": task.task_id,
        "contextId": task.context_id,
    }


def _of_task(task: Task) -> list[Mapping[str, Any]]:
    """The part of the conversation that begins with the task's first message; all of it if that cannot be told."""
    messages = conversation_of(task.values)
    begins = [n for n, each in enumerate(messages) if task.message_id and each.get("id") == task.message_id]
    return messages[begins[0] :] if begins else messages


def _role(message: Mapping[str, Any]) -> Literal["user", "agent"] | None:
    """Who speaks; None for what is not part of the conversation: tools and instructions."""
    kind = message.get("type") or message.get("role")
    if kind in ("human", "user", "HumanMessageChunk"):
        return "user"
    return "agent" if kind in ("ai", "assistant", "AIMessageChunk") else None


def _parts(content: Any, generation: Generation) -> Iterator[dict[str, Any]]:
    """The parts of a message's content: a text, or the texts and files among blocks of LangChain. Others, like thoughts and calls of
    tools, are not said to the client."""
    for block in [content] if isinstance(content, str) else content or ():
        if isinstance(block, str):
            said: Any = block
        elif isinstance(block, Mapping):
            said = block.get("text") if block.get("type") == "text" else None
        else:
            continue
        if said:
            yield _text(str(said))
        elif isinstance(block, Mapping) and ("base64" in block or "url" in block):
            yield _file(block, generation)


def _text(text: str) -> dict[str, Any]:
    return {"kind": "text", "text": text}


def _data(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "data", "data": dict(value)}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"value": value}


def _whole(values: Any) -> dict[str, Any]:
    return _data(values) if isinstance(values, Mapping) else _text(encode(values).decode())


def _file(block: Mapping[str, Any], generation: Generation) -> dict[str, Any]:
    content, uri = block.get("base64"), block.get("url")
    media_type, name = block.get("mime_type"), block.get("filename")
    if generation == "legacy":
        file = {"bytes": content, "uri": uri, "mimeType": media_type, "name": name}
        return {"kind": "file", "file": _given(file.items())}
    return {"kind": "file", **_given({"raw": content, "url": uri, "mediaType": media_type, "filename": name}.items())}


def _given(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in items if value is not None}
