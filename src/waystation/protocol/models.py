"""Wire shapes of the protocol (contract: ProtocolCommand, ProtocolSuccess, ProtocolError)."""

from __future__ import annotations

from typing import Any, Literal

from waystation.http.bodies import Body

__all__ = ["COMMAND", "Channel", "CommandFailed", "CommandRequest", "ErrorCode", "failure", "gap", "success"]

Channel = Literal["values", "updates", "checkpoints", "messages", "tools", "custom", "lifecycle", "input", "tasks"]

ErrorCode = Literal[
    "invalid_argument",
    "unknown_command",
    "unknown_error",
    "no_such_run",
    "no_such_interrupt",
    "no_such_subscription",
    "no_such_namespace",
    "no_such_checkpoint",
    "permission_denied",
    "not_supported",
    "resume_gap",
]


COMMAND: dict[str, Any] = {
    "title": "ProtocolAnswer",
    "type": "object",
    "required": ["type", "id"],
    "properties": {
        "type": {"enum": ["success", "error"]},
        "id": {"type": ["integer", "null"]},
        "result": {"type": "object"},
        "error": {"type": "string"},
        "message": {"type": "string"},
        "meta": {"type": "object", "properties": {"applied_through_seq": {"type": "integer"}}},
    },
}
"""JSON schema of an answer, for the OpenAPI page."""


class CommandRequest(Body):
    """A command."""

    id: int
    method: str
    params: dict[str, Any] | None = None


class CommandFailed(Exception):
    """A command that cannot be carried out, as the client is to be told."""

    def __init__(self, code: ErrorCode, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def success(command_id: int, result: dict[str, Any], applied_through_seq: int) -> dict[str, Any]:
    """The answer to a command that was carried out. `applied_through_seq` is the number of the last event before its effect."""
    return {"type": "success", "id": command_id, "result": result, "meta": {"applied_through_seq": applied_through_seq}}


def failure(command_id: int | None, failed: CommandFailed) -> dict[str, Any]:
    """The answer to one that was not."""
    return {"type": "error", "id": command_id, "error": failed.code, "message": failed.message, **failed.details}


def gap(seen: int, oldest: int) -> dict[str, Any]:
    """What a client is told that has missed events: the numbers of the last it got and of the oldest that there still is."""
    message = "Events arrived faster than they were read; reconnect with `since` to go on."
    failed = CommandFailed("resume_gap", message, since=seen, min_available_seq=oldest)
    return failure(None, failed)
