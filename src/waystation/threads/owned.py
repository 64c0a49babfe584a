"""Threads of Managed Deep Agents: what their metadata means, whichever of the two APIs changes it (MDA 9).

Some members of the metadata are the server's and stay as they are. Others are switches, which lists are filtered by: these are
columns as well. Whether the owner has read what is on the thread is a column only, for every run changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.errors import UnprocessableInput

__all__ = ["READ_STATUS", "SERVER_OWNED", "changed_metadata", "derived_title", "new_columns"]

SERVER_OWNED = frozenset({"ls_user_id", "tenant_id", "graph_id", "assistant_id"})
"""Members of the metadata that nobody changes."""

READ_STATUS = "read_status"

_COLUMNS = frozenset({"is_pinned", "is_test_run"})
_SWITCHES = _COLUMNS | {READ_STATUS, "skip_memory_write_protection"}
_RECREATED = "sandbox_recreated_at"

LONGEST_TITLE = 120
"""Characters of a title that is taken from a message."""

HUMAN = frozenset({"human", "user"})


def new_columns(owner_id: str, agent_id: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a new thread that only those of agents have."""
    return {
        "owner_id": owner_id,
        "agent_id": agent_id,
        "title": None,
        **{name: metadata.get(name, False) for name in _COLUMNS},
        "unread": False,
    }


def changed_metadata(
    before: Mapping[str, Any], patch: Mapping[str, Any], *, remove_nulls: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metadata after `patch` has been merged into it, and the columns that change with it.

    A switch that is null is off (and what is unread, read); with `remove_nulls` other members that are null go. Raises
    UnprocessableInput for a wrong type, and for another value of what is the server's."""
    after = dict(before)
    columns: dict[str, Any] = {}
    for name, value in patch.items():
        if name in SERVER_OWNED:
            if value != before.get(name):
                raise UnprocessableInput(f"Leave metadata.{name} out: the server has set it, and it cannot be changed.")
        elif name in _SWITCHES:
            if value is not None and not isinstance(value, bool):
                raise UnprocessableInput(f"Set metadata.{name} to true, false or null: it is something else.")
            if name == READ_STATUS:
                columns["unread"] = value is False
                continue
            after[name] = bool(value)
            if name in _COLUMNS:
                columns[name] = after[name]
        elif name == _RECREATED and value is not None and not isinstance(value, str):
            raise UnprocessableInput(f"Set metadata.{name} to a string or null: it is something else.")
        elif value is None and (remove_nulls or name == _RECREATED):
            after.pop(name, None)
        else:
            after[name] = value
    return after, columns


def derived_title(given: Any) -> bytes | None:
    """The title of a thread whose first run has the input `given`: the beginning of the first text of a human, as UTF-8. None
    if there is none."""
    messages = given.get("messages") if isinstance(given, Mapping) else None
    for message in messages if isinstance(messages, list) else [messages]:
        text = " ".join(_human_text(message).split())
        if text:
            return (text if len(text) <= LONGEST_TITLE else f"{text[: LONGEST_TITLE - 1].rstrip()}…").encode()
    return None


def _human_text(message: Any) -> str:
    """What a human says with a message, in any of the forms that LangChain takes for one; empty if it is not a human's."""
    if isinstance(message, str):
        return message
    role: Any = None
    content: Any = None
    if isinstance(message, Mapping):
        role, content = message.get("role") or message.get("type"), message.get("content")
    elif isinstance(message, list) and len(message) == 2:
        role, content = message
    if role not in HUMAN:
        return ""
    blocks = content if isinstance(content, list) else [content]
    texts = [block.get("text") if isinstance(block, Mapping) else block for block in blocks]
    return " ".join(text for text in texts if isinstance(text, str))
