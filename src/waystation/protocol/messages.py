"""Messages in a state, as the protocol shows them (spec 13.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["shown_state"]

TYPES = {
    "ai": "ai",
    "assistant": "ai",
    "AIMessageChunk": "ai",
    "human": "human",
    "user": "human",
    "HumanMessageChunk": "human",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "function",
    "remove": "remove",
}

KEPT = ("id", "name", "tool_calls", "invalid_tool_calls", "tool_call_id", "status", "artifact", "usage_metadata")
"""What is shown of a message beside its type and content, if it is not empty."""

BLOCKS = frozenset(
    {
        *("text", "reasoning", "image", "audio", "video", "file", "text-plain", "non_standard"),
        *("tool_call", "tool_call_chunk", "invalid_tool_call"),
        *("server_tool_call", "server_tool_call_chunk", "server_tool_result"),
    }
)
"""Types of content blocks that the protocol knows."""


def shown_state(state: Any) -> Any:
    """A state without its interrupts, with the messages at its top level as the protocol has them."""
    if not isinstance(state, Mapping):
        return state
    return {key: _value(value) for key, value in state.items() if key != "__interrupt__"}


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_message(each) if _is_message(each) else each for each in value]
    return _message(value) if _is_message(value) else value


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "content" in value and _type_of(value) in TYPES


def _type_of(message: Mapping[str, Any]) -> Any:
    kind = message.get("type", message.get("role"))
    return kind if isinstance(kind, str) else None


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": TYPES[_type_of(message)], "content": _content(message["content"])}
    shown.update({key: value for key in KEPT if (value := message.get(key)) not in (None, [], {})})
    if metadata := message.get("response_metadata"):
        shown["response_metadata"] = metadata
    return shown


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [_block(block) if isinstance(block, Mapping) else block for block in content]


def _block(block: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = block.get("type")
    if kind == "image_url":
        return _image(block.get("image_url"))
    if kind == "input_audio" and isinstance(audio := block.get("input_audio"), Mapping):
        return {"type": "audio", "base64": audio.get("data"), "mime_type": f"audio/{audio.get('format', 'wav')}"}
    return block if kind in BLOCKS else {"type": "non_standard", "value": block}


def _image(given: Any) -> dict[str, Any]:
    url = given.get("url", "") if isinstance(given, Mapping) else str(given or "")
    kind, found, data = url.removeprefix("data:").partition(";base64,")
    if url.startswith("data:") and found:
        return {"type": "image", "base64": data, "mime_type": kind}
    return {"type": "image", "url": url}
