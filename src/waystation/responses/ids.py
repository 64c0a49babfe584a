"""Ids of the API and what they stand for here."""

from __future__ import annotations

from uuid import UUID

__all__ = ["BREAKPOINT", "conversation_id", "response_id", "run_id_of", "thread_id_of"]

RESPONSE = "resp_"
CONVERSATION = "conv_"

BREAKPOINT = "breakpoint"
"""The call id of the stop at a node that was marked, which asks for nothing but leave to go on."""


def response_id(run_id: str) -> str:
    """The id of the response that a run is."""
    return RESPONSE + UUID(run_id).hex


def run_id_of(text: str) -> str | None:
    """The run that a response's id stands for; None if it is none."""
    return _uuid(text, RESPONSE)


def conversation_id(thread_id: str) -> str:
    """The id of the conversation that a thread is."""
    return CONVERSATION + UUID(thread_id).hex


def thread_id_of(text: str) -> str | None:
    """The thread that a conversation's id stands for, or is; None if it is none."""
    return _uuid(text, CONVERSATION) or _uuid(text, "")


def _uuid(text: str, prefix: str) -> str | None:
    try:
        return str(UUID(text.removeprefix(prefix))) if text.startswith(prefix) else None
    except ValueError:
        return None
