"""Input items as LangChain messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from waystation.encoding import decode
from waystation.messages.content import OF_THE_DEVELOPER
from waystation.responses.errors import Refused

__all__ = ["MESSAGE", "messages_of", "output_of"]

MESSAGE = "msg_"
"""What the id of an item for a message has before the message's own id."""

_TYPES = {"user": "human", "assistant": "ai", "system": "system", "developer": "system"}
_TEXTS = ("input_text", "output_text", "text")


def messages_of(given: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The messages that an input stands for. Raises Refused for what no message can stand for."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "human", "id": str(uuid4()), "content": given}]
    messages: list[dict[str, Any]] = []
    for place, item in enumerate(given):
        for message in _messages(item, f"input[{place}]"):
            if message["type"] == "ai" and message["tool_calls"] and _is_call(messages):
                messages[-1]["tool_calls"] += message["tool_calls"]  # calls side by side are one message's
            else:
                messages.append(message)
    return messages


def output_of(item: Mapping[str, Any], where: str) -> str | list[dict[str, Any]]:
    """What a ``function_call_output`` says. Raises Refused."""
    return _content(item.get("output", ""), f"{where}.output")


def _messages(item: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    kind = item.get("type") or "message"
    message: dict[str, Any] = {"id": str(item.get("id") or uuid4()).removeprefix(MESSAGE)}
    if kind == "message":
        role = item.get("role")
        if role not in _TYPES:
            raise Refused(f"Invalid value: {where}.role must be one of {', '.join(_TYPES)}.", f"{where}.role")
        message |= {"type": _TYPES[role], "content": _content(item.get("content"), f"{where}.content")}
        if role == "developer":
            message["additional_kwargs"] = OF_THE_DEVELOPER
        return [message | ({"tool_calls": []} if role == "assistant" else {})]
    if kind == "function_call":
        return [_call(item, item.get("call_id"), where)]
    if kind == "function_call_output":
        return [{**message, "type": "tool", "tool_call_id": item.get("call_id"), "content": output_of(item, where)}]
    if kind == "mcp_call":
        call = _call(item, item.get("id"), where)
        answer = item.get("output") or ""
        return [call, {"type": "tool", "id": str(uuid4()), "tool_call_id": item.get("id"), "content": answer}]
    if kind == "reasoning":
        return []  # what a model thought is nothing that another message can tell it
    raise Refused(f"Unsupported input item: {where} has the type {kind!r}.", where, "unsupported_value")


def _call(item: Mapping[str, Any], call_id: Any, where: str) -> dict[str, Any]:
    try:
        arguments = decode(item.get("arguments") or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict) or not call_id or not item.get("name"):
        raise Refused(f"Invalid value: {where} needs an id, a name and arguments that are a JSON object.", where)
    call = {"type": "tool_call", "id": call_id, "name": item["name"], "args": arguments}
    return {"type": "ai", "id": str(uuid4()), "content": "", "tool_calls": [call]}


def _is_call(messages: list[dict[str, Any]]) -> bool:
    return bool(messages) and messages[-1]["type"] == "ai" and bool(messages[-1]["tool_calls"])


def _content(content: Any, where: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused(f"Invalid value: {where} must be a text or a list of parts.", where)
    parts = [_part(part, f"{where}[{place}]") for place, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in _TEXTS:
        return {"type": "text", "text": str(part.get("text", ""))}
    if kind == "refusal":
        return {"type": "text", "text": str(part.get("refusal", ""))}
    if kind == "input_image" and part.get("image_url"):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    if kind == "input_file":
        return {"type": "file", **_file(part, where)}
    raise Refused(f"Unsupported content: {where} has the type {kind!r}.", where, "unsupported_value")


def _file(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    name = {"filename": part["filename"]} if part.get("filename") else {}
    if part.get("file_url"):
        return {"url": part["file_url"], **name}
    head, comma, data = str(part.get("file_data") or "").partition(";base64,")
    if comma:
        return {"base64": data, "mime_type": head.removeprefix("data:"), **name}
    raise Refused(
        f"Unsupported content: {where} needs a file_url, or file_data as a data URL.", where, "unsupported_value"
    )
