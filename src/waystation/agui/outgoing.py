"""Messages of a graph's state as AG-UI shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ag_ui.core import (
    AssistantMessage,
    DataSource,
    DeveloperMessage,
    FileSource,
    FunctionCall,
    Message,
    PartSource,
    ReasoningMessage,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UrlSource,
    UserMessage,
)
from ag_ui.core.types import AudioPart, DocumentPart, ImagePart, VideoPart

from waystation.messages import content

__all__ = ["messages_to", "tool_content"]

_MEDIA: Mapping[str, Any] = {
    "image": ImagePart,
    "image_url": ImagePart,
    "audio": AudioPart,
    "video": VideoPart,
    "file": DocumentPart,
}


def messages_to(messages: Sequence[content.Message]) -> list[Message]:
    """The conversation. A message without an id, which only a graph without a reducer has, gets one by its place."""
    return [
        each
        for place, message in enumerate(messages)
        for each in _shown(message, message.get("id") or f"message-{place}")
    ]


def tool_content(message: content.Message) -> str | list[Any]:
    """What a tool has answered."""
    return _content(message)


def _shown(message: content.Message, message_id: str) -> Iterator[Message]:
    kind = message.get("type")
    name = message.get("name")
    if kind == "human":
        yield UserMessage(id=message_id, content=_content(message), name=name)
    elif kind == "ai":
        if thoughts := content.reasoning_of(message):
            yield ReasoningMessage(id=f"{message_id}-reasoning", content=thoughts)
        calls = [
            ToolCall(id=call["id"], function=FunctionCall(name=call["name"], arguments=call["arguments"]))
            for call in content.tool_calls_of(message)
        ]
        text = content.text_of(message)
        yield AssistantMessage(
            id=message_id, content=text if text or not calls else None, tool_calls=calls or None, name=name
        )
    elif kind == "tool":
        text = content.text_of(message)
        error = text if message.get("status") == "error" else None
        call_id = str(message.get("tool_call_id"))
        yield ToolMessage(id=message_id, content=_content(message), tool_call_id=call_id, error=error)
    elif kind == "system":
        of_the_developer = message.get("additional_kwargs") == content.OF_THE_DEVELOPER
        role = DeveloperMessage if of_the_developer else SystemMessage
        yield role(id=message_id, content=content.text_of(message), name=name)


def _content(message: content.Message) -> str | list[Any]:
    """Text if it is all text, else its parts; those that AG-UI cannot show are left out."""
    blocks = message.get("content")
    if not isinstance(blocks, list):
        return content.text_of(message)
    parts = [part for block in blocks if (part := _part(block)) is not None]
    return content.text_of(message) if all(isinstance(part, TextPart) for part in parts) else parts


def _part(block: Any) -> Any:
    if isinstance(block, str):
        return TextPart(text=block)
    if not isinstance(block, Mapping):
        return None
    if block.get("type") == "text":
        return TextPart(text=str(block.get("text") or ""))
    media = _MEDIA.get(str(block.get("type")))
    source = _source(block)
    return None if media is None or source is None else media(source=source)


def _source(block: Mapping[str, Any]) -> PartSource | None:
    image = block.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image or block.get("url")
    mime_type = block.get("mime_type")
    if isinstance(url, str):
        head, comma, data = url.partition(";base64,")
        if comma and head.startswith("data:"):
            return DataSource(value=data, mime_type=head.removeprefix("data:"))
        return UrlSource(value=url, mime_type=mime_type)
    if isinstance(inline := block.get("base64"), str):
        return DataSource(value=inline, mime_type=str(mime_type or "application/octet-stream"))
    if isinstance(file_id := block.get("file_id"), str):
        return FileSource(value=file_id, mime_type=mime_type)
    return None
