"""The Response object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Row

from waystation.responses.ids import conversation_id, response_id
from waystation.timestamps import MICROSECONDS

__all__ = ["ASKED", "Outcome", "Subject", "failed"]

ASKED = "response"
"""Where a run's kwargs have what was asked for: `Subject.asked`."""


class Outcome(Struct, frozen=True):
    """How far a response is."""

    status: str
    output: Sequence[Mapping[str, Any]] = ()
    error: Mapping[str, Any] | None = None
    incomplete: str | None = None
    """Why it is incomplete."""
    usage: Mapping[str, Any] | None = None


class Subject(Struct, frozen=True):
    """A run that is shown as a response."""

    run_id: str
    thread_id: str
    created_at: int
    """Microseconds since the epoch."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """``model, instructions, previous_response_id, conversation, metadata, background, store, tools, input, anchor``; the last is the
    id of the message that the output comes after. Empty for a run of the Agent Server API."""
    assistant_id: str = ""

    @classmethod
    def of(cls, run: Row[*tuple[Any, ...]]) -> Subject:
        asked = (run.kwargs or {}).get(ASKED) or {}
        return cls(run.run_id, run.thread_id, run.created_at, asked, run.assistant_id)

    @property
    def id(self) -> str:
        return response_id(self.run_id)

    @property
    def functions(self) -> frozenset[str]:
        """The names of the client's own tools."""
        return frozenset(str(tool.get("name")) for tool in self.asked.get("tools") or ())

    def response(self, outcome: Outcome) -> dict[str, Any]:
        """The object."""
        asked = self.asked
        about = conversation_id(self.thread_id) if asked.get("conversation") else None
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at // MICROSECONDS,
            "status": outcome.status,
            "background": bool(asked.get("background")),
            "conversation": None if about is None else {"id": about},
            "error": outcome.error,
            "incomplete_details": None if outcome.incomplete is None else {"reason": outcome.incomplete},
            "instructions": asked.get("instructions"),
            "max_output_tokens": None,
            "metadata": asked.get("metadata") or {},
            "model": asked.get("model") or self.assistant_id,
            "output": list(outcome.output),
            "parallel_tool_calls": True,
            "previous_response_id": asked.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": asked.get("store", True),
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": asked.get("tools") or [],
            "top_p": None,
            "truncation": "disabled",
            "usage": outcome.usage,
        }


def failed(error: Mapping[str, Any] | None, output: Sequence[Mapping[str, Any]] = ()) -> Outcome:
    """The outcome of a run with this ``{error, message}``."""
    message = "The run failed." if error is None else f"{error.get('error')}: {error.get('message')}"
    return Outcome("failed", output, {"code": "server_error", "message": message})
