"""What a message says: its text, its reasoning, its tool calls. Messages are JSON objects, as streams and states have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from waystation.encoding import encode

__all__ = ["OF_THE_DEVELOPER", "Message", "conversation_of", "reasoning_of", "text_of", "tool_calls_of", "unanswered"]

Message = Mapping[str, Any]

OF_THE_DEVELOPER = {"__openai_role__": "developer"}
"""The ``additional_kwargs`` by which LangChain tells a message of the developer from one of the system."""


def text_of(message: Message) -> str:
    """The text of a message, whose content is a string or a list of blocks."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(block if isinstance(block, str) else _text(block) for block in _blocks(content))


def reasoning_of(message: Message) -> str:
    """What the model thought, in any of the forms that LangChain's integrations give it."""
    parts = [part for block in _blocks(message.get("content")) for part in _thoughts(block)]
    if not parts:
        extra = message.get("additional_kwargs") or {}
        parts = [extra["reasoning_content"]] if isinstance(extra.get("reasoning_content"), str) else []
    return "".join(parts)


def tool_calls_of(message: Message) -> list[dict[str, str]]:
    """The tool calls of a message as ``{id, name, arguments}``, the last as JSON text. One without an id cannot be answered, and is
    left out."""
    return [
        {
            "id": str(call["id"]),
            "name": str(call.get("name") or ""),
            "arguments": encode(call.get("args") or {}).decode(),
        }
        for call in message.get("tool_calls") or ()
        if call.get("id")
    ]


def conversation_of(values: Any) -> list[Message]:
    """The messages in a graph's state; none if it keeps none."""
    messages = values.get("messages") if isinstance(values, Mapping) else None
    return [each for each in messages if isinstance(each, Mapping)] if isinstance(messages, list) else []


def unanswered(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The tool calls that no message answers."""
    answered = {message.get("tool_call_id") for message in messages if message.get("type") == "tool"}
    return [call for message in messages for call in tool_calls_of(message) if call["id"] not in answered]


def _blocks(content: Any) -> Sequence[Any]:
    return content if isinstance(content, list) else ()


def _text(block: Any) -> str:
    if not isinstance(block, Mapping) or block.get("type") not in ("text", "output_text"):
        return ""
    return str(block.get("text") or "")


def _thoughts(block: Any) -> Iterator[str]:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind == "thinking":
        yield str(block.get("thinking") or "")
    elif kind == "reasoning_content" and isinstance(inner := block.get("reasoning_content"), Mapping):
        yield str(inner.get("text") or "")
    elif kind == "reasoning":
        yield str(block.get("reasoning") or "")
        for part in block.get("summary") or ():
            if isinstance(part, Mapping):
                yield str(part.get("text") or "")
