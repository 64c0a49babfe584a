"""Messages as output items.

Tools of the assistant have been called by the server: such a call is an ``mcp_call``, which the official client knows as one that is
not the client's to make and that has its result with it. A ``function_call`` is what the client has to answer: a call of one of
its own tools, and an interrupt."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from waystation.encoding import encode
from waystation.messages.content import Message, reasoning_of, text_of, tool_calls_of
from waystation.responses.ids import BREAKPOINT
from waystation.responses.incoming import MESSAGE

__all__ = [
    "INTERRUPT",
    "after",
    "call_item",
    "input_items",
    "interrupt_item",
    "items_of",
    "late_call",
    "text_item",
    "thought_item",
    "usage_of",
]

INTERRUPT = "interrupt"
"""The name of the function that stands for an interrupt."""

SERVER = "waystation"
"""Whose tools the assistant's are."""


def after(messages: Sequence[Message], anchor: str | None) -> Sequence[Message]:
    """The messages behind the one with the id `anchor`; without it, those of the last turn."""
    for place in range(len(messages), 0, -1):
        message = messages[place - 1]
        if message.get("id") == anchor or (anchor is None and message.get("type") == "human"):
            return messages[place:]
    return messages if anchor is None else after(messages, None)


def items_of(
    messages: Sequence[Message], functions: Container[str], earlier: Sequence[Message], *, paused: bool
) -> list[dict[str, Any]]:
    """The output of a response that is over: what its `messages` say, and the results of calls that were made `earlier`, before the
    assistant had to wait. `functions` are the client's tools; of a response that is `paused` at an interrupt no other call is
    the client's to answer."""
    results = {message.get("tool_call_id"): message for message in messages if message.get("type") == "tool"}
    shown: set[str] = set()
    items: list[dict[str, Any]] = []
    for message in messages:
        if message.get("type") == "tool":
            items += _late(message, shown, functions, earlier)
        elif message.get("type") == "ai":
            items += _said(message)
            for call in tool_calls_of(message):
                shown.add(call["id"])
                result = results.get(call["id"])
                theirs = call["name"] in functions or (result is None and not paused)
                items.append(call_item(call["id"], call["name"], call["arguments"], theirs=theirs, result=result))
    return items


def late_call(result: Message, earlier: Sequence[Message]) -> dict[str, str] | None:
    """The call that a tool's `result` answers, among those that were made earlier."""
    calls = (call for message in earlier for call in tool_calls_of(message))
    return next((call for call in calls if call["id"] == result.get("tool_call_id")), None)


def _late(
    message: Message, shown: Container[str], functions: Container[str], earlier: Sequence[Message]
) -> Iterator[dict[str, Any]]:
    call = None if message.get("tool_call_id") in shown else late_call(message, earlier)
    if call is not None and call["name"] not in functions:
        yield call_item(call["id"], call["name"], call["arguments"], theirs=False, result=message)


def _said(message: Message) -> Iterator[dict[str, Any]]:
    message_id = str(message.get("id"))
    if thoughts := reasoning_of(message):
        yield thought_item(f"{message_id}-reasoning", thoughts)
    if text := text_of(message):
        yield text_item(message_id, text)


def text_item(key: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {
        "id": MESSAGE + key,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content if text else [],
    }


def thought_item(key: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text}]
    return {"id": f"rs_{key}", "type": "reasoning", "summary": [], "content": content if text else [], "status": status}


def call_item(
    call_id: str, name: str, arguments: str, *, theirs: bool, result: Message | None = None, status: str | None = None
) -> dict[str, Any]:
    """A call of a tool: a client's if it is `theirs`, else with its `result`."""
    if theirs:
        return {
            "id": f"fc_{call_id}",
            "type": "function_call",
            "call_id": call_id,
            "name": name,
            "arguments": arguments,
            "status": status or "completed",
        }
    said = None if result is None else text_of(result)
    failed = result is not None and result.get("status") == "error"
    return {
        "id": f"mcp_{call_id}",
        "type": "mcp_call",
        "server_label": SERVER,
        "name": name,
        "arguments": arguments,
        "output": None if failed else said,
        "error": {"type": "mcp_tool_execution_error", "content": said} if failed else None,
        "status": status or ("incomplete" if result is None else "failed" if failed else "completed"),
    }


def interrupt_item(interrupt: Mapping[str, Any]) -> dict[str, Any]:
    """What the client has to answer before the assistant goes on: ``{id, value[, response_schema]}``."""
    arguments = encode(interrupt.get("value")).decode()
    return call_item(str(interrupt.get("id", BREAKPOINT)), INTERRUPT, arguments, theirs=True)


def usage_of(messages: Sequence[Message]) -> dict[str, Any] | None:
    """The tokens that the messages have taken, as far as models have told."""
    used = [usage for message in messages if (usage := message.get("usage_metadata"))]
    if not used:
        return None

    def total(name: str, detail: str | None = None) -> int:
        return sum((usage.get(name) or {}).get(detail) or 0 if detail else usage.get(name) or 0 for usage in used)

    return {
        "input_tokens": total("input_tokens"),
        "input_tokens_details": {
            "cached_tokens": total("input_token_details", "cache_read"),
            "cache_write_tokens": total("input_token_details", "cache_creation"),
        },
        "output_tokens": total("output_tokens"),
        "output_tokens_details": {"reasoning_tokens": total("output_token_details", "reasoning")},
        "total_tokens": total("total_tokens"),
    }


def input_items(given: str | list[dict[str, Any]] | None, of_response: str) -> list[dict[str, Any]]:
    """The input as it was given, each item with an id, oldest first."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    return [_input_item(item, f"{of_response.replace('resp', 'msg', 1)}_{place}") for place, item in enumerate(items)]


def _input_item(item: Mapping[str, Any], own_id: str) -> dict[str, Any]:
    whole = {"type": "message", "status": "completed", **item, "id": item.get("id") or own_id}
    if isinstance(content := item.get("content"), str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        whole["content"] = [{"type": kind, "text": content, **({"annotations": []} if kind == "output_text" else {})}]
    return whole
