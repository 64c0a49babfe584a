"""From a message to what a graph is given: an input, or the answer to its question (spec 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.a2a.errors import invalid
from waystation.a2a.models import Message, Part
from waystation.graphs.message_schemas import MESSAGES, properties_of

__all__ = ["answer_of", "input_of"]

RESUME = "resume"

_KINDS = ("image", "audio", "video")


def input_of(message: Message, schema: Any) -> dict[str, Any]:
    """The graph's input: texts and files as one message of its conversation, data as members of the input itself. `schema` is that of
    the input. Raises RpcError for a text or a file where the graph has no conversation."""
    said = [part for part in message.parts if part.data is None]
    given: dict[str, Any] = {}
    if said:
        if not isinstance(schema, dict) or MESSAGES not in properties_of(schema):
            raise invalid(
                "message.parts: the agent takes no text and no files, for its input has no messages; send data."
            )
        role = "ai" if message.role.lower().endswith("agent") else "human"
        told: dict[str, Any] = {"type": role, "content": _content(said)}
        if message.messageId:
            told["id"] = message.messageId
        given[MESSAGES] = [told]
    for data in _data(message):
        given.update(data)
    return given


def answer_of(message: Message) -> Any:
    """What a graph that has asked is answered: the ``resume`` of a data part, or all data, or the text."""
    data: dict[str, Any] = {}
    for each in _data(message):
        data.update(each)
    if RESUME in data:
        return data[RESUME]
    if data:
        return data
    if any(part.text is None for part in message.parts):
        raise invalid("message.parts: an answer to the agent's question is text or data.")
    return "\n".join(part.text or "" for part in message.parts)


def _data(message: Message) -> list[Mapping[str, Any]]:
    found = [part.data for part in message.parts if part.data is not None]
    if not all(isinstance(each, Mapping) for each in found):
        raise invalid("message.parts: data must be an object; its members become those of the graph's input.")
    return found


def _content(parts: list[Part]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and parts[0].text is not None:
        return parts[0].text
    return [_block(part) for part in parts]


def _block(part: Part) -> dict[str, Any]:
    """A content block of LangChain. What a URL leads to is for the graph to fetch, or its model."""
    if part.text is not None:
        return {"type": "text", "text": part.text}
    content, uri, media_type, name = part.raw, part.url, part.mediaType, part.filename
    if (file := part.file) is not None:
        content, uri, media_type, name = file.bytes, file.uri, file.mimeType, file.name
    kind = (media_type or "").split("/", 1)[0]
    block = {"base64": content, "url": uri, "mime_type": media_type, "filename": name}
    given = {key: value for key, value in block.items() if value is not None}
    return {"type": kind if kind in _KINDS else "file", **given}
