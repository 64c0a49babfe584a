"""Messages of AG-UI as LangChain takes them."""

from __future__ import annotations

from typing import Any

from ag_ui.core import AssistantMessage, ContentPart, Message, TextPart, ToolMessage

from waystation.encoding import decode
from waystation.errors import UnprocessableInput
from waystation.messages.content import OF_THE_DEVELOPER

__all__ = ["message_from", "only_shown"]

_KINDS = {"user": "human", "system": "system", "developer": "system"}
_BLOCKS = {"audio": "audio", "video": "video", "document": "file"}


def only_shown(message: Message) -> bool:
    """Whether the message is for people alone: front ends keep the reasoning and the activities they have shown."""
    return message.role in ("reasoning", "activity")


def message_from(message: Message) -> dict[str, Any]:
    """`message` as a LangChain message in JSON. Raises UnprocessableInput."""
    said = message.content
    wire: dict[str, Any] = {"id": message.id, "content": said if isinstance(said, str) else _blocks(said)}
    if isinstance(message, AssistantMessage):
        return {**wire, "type": "ai", "tool_calls": [_call(message.id, call) for call in message.tool_calls or ()]}
    if isinstance(message, ToolMessage):
        status = "success" if message.error is None else "error"
        return {**wire, "type": "tool", "tool_call_id": message.tool_call_id, "status": status}
    wire["type"] = _KINDS[message.role]
    if message.role == "developer":
        wire["additional_kwargs"] = OF_THE_DEVELOPER
    name = getattr(message, "name", None)
    return wire if name is None else {**wire, "name": name}


def _blocks(parts: Any) -> str | list[dict[str, Any]]:
    return [_block(part) for part in parts] if parts else ""


def _block(part: ContentPart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    source = part.source
    if part.type == "image" and source.type != "file":  # what every integration of LangChain knows
        url = source.value if source.type == "url" else f"data:{source.mime_type};base64,{source.value}"
        return {"type": "image_url", "image_url": {"url": url}}
    key = {"url": "url", "data": "base64", "file": "file_id"}[source.type]
    block = {"type": _BLOCKS.get(part.type, part.type), key: source.value}
    return block if source.mime_type is None else {**block, "mime_type": source.mime_type}


def _call(message_id: str, call: Any) -> dict[str, Any]:
    try:
        arguments = decode(call.function.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise UnprocessableInput(
            f"messages: the arguments of tool call {call.id} in {message_id} are not a JSON object."
        )
    return {"type": "tool_call", "id": call.id, "name": call.function.name, "args": arguments}
