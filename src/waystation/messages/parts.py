"""How messages arrive: the events ``messages`` of a run (spec 8.3, ``messages-tuple``), cut into parts that open, grow and close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct, field
from uuid_utils import uuid4

from waystation.messages.content import Message, reasoning_of, text_of, tool_calls_of

__all__ = ["Closed", "Grown", "Kind", "Opened", "Part", "Parts", "ToolResult", "Unit"]

Kind = Literal["text", "reasoning", "tool_call"]

LAST = "last"
"""What LangChain says of the chunk that ends a message."""

HIDDEN_TEXT = ("emit-messages", "copilotkit:emit-messages")
HIDDEN_CALLS = ("emit-tool-calls", "copilotkit:emit-tool-calls")
"""Metadata by which a graph keeps a model's words or calls from front ends, if false. CopilotKit's SDK sets them."""


class Unit(Struct):
    """A text, a train of thought or a tool call of one message."""

    kind: Kind
    key: str
    """Unique in the run: for a text the message's id, for a tool call the call's."""
    message_id: str
    role: str = "ai"
    """The message's type, for a text."""
    name: str = ""
    """The tool's, for a tool call."""
    text: str = ""
    """What has arrived so far; of a tool call, its arguments as JSON."""


class Opened(Struct, frozen=True):
    unit: Unit


class Grown(Struct, frozen=True):
    unit: Unit
    delta: str


class Closed(Struct, frozen=True):
    unit: Unit


class ToolResult(Struct, frozen=True):
    message: Message


Part = Opened | Grown | Closed | ToolResult


class _Arriving(Struct):
    """A message that has not ended."""

    spoken: Unit | None = None
    """Its open text or train of thought."""
    calls: dict[Any, Unit] = field(default_factory=dict)
    """Its open tool calls, by index."""
    texts: int = 0
    thoughts: int = 0


class Parts:
    """The messages of one run."""

    def __init__(self) -> None:
        self._arriving: dict[str, _Arriving] = {}

    def take(self, message: Message, metadata: Mapping[str, Any]) -> Iterator[Part]:
        """What the next message, or piece of one, brings."""
        kind = message.get("type")
        if kind == "tool":
            yield ToolResult(message)
        elif kind in ("AIMessageChunk", "ai"):
            yield from self._spoken(message, metadata)
        elif kind in ("human", "system"):
            message_id = str(message.get("id") or uuid4())
            yield from self._whole(Unit("text", message_id, message_id, role=kind), text_of(message))

    def close(self) -> Iterator[Part]:
        """The ends of everything that is open: a step is over, or an attempt of the run."""
        for message_id in list(self._arriving):
            yield from self._end(message_id)

    def _spoken(self, message: Message, metadata: Mapping[str, Any]) -> Iterator[Part]:
        message_id = str(message.get("id") or uuid4())
        arriving = self._arriving.setdefault(message_id, _Arriving())
        whole = message.get("type") == "ai"
        if _shown(metadata, HIDDEN_TEXT):
            if thoughts := reasoning_of(message):
                yield from self._say(arriving, "reasoning", message_id, thoughts)
            if text := text_of(message):
                yield from self._say(arriving, "text", message_id, text)
        if _shown(metadata, HIDDEN_CALLS):
            if whole:
                for call in tool_calls_of(message):
                    yield from self._stop_speaking(arriving)
                    unit = Unit("tool_call", call["id"], message_id, name=call["name"])
                    yield from self._whole(unit, call["arguments"])
            else:
                for chunk in message.get("tool_call_chunks") or ():
                    yield from self._call(arriving, message_id, chunk)
        if whole or message.get("chunk_position") == LAST:
            yield from self._end(message_id)

    def _say(
        self, arriving: _Arriving, kind: Literal["text", "reasoning"], message_id: str, text: str
    ) -> Iterator[Part]:
        if arriving.spoken is None or arriving.spoken.kind != kind:
            yield from self._stop_speaking(arriving)
            if kind == "text":
                key, arriving.texts = _numbered(message_id, arriving.texts), arriving.texts + 1
            else:
                key, arriving.thoughts = _numbered(f"{message_id}-reasoning", arriving.thoughts), arriving.thoughts + 1
            arriving.spoken = Unit(kind, key, message_id)
            yield Opened(arriving.spoken)
        yield from _grown(arriving.spoken, text)

    def _call(self, arriving: _Arriving, message_id: str, chunk: Mapping[str, Any]) -> Iterator[Part]:
        index = chunk.get("index")
        unit = arriving.calls.get(index)
        if (call_id := chunk.get("id")) and (unit is None or unit.key != call_id):
            yield from self._stop_speaking(arriving)
            if unit is not None:
                yield Closed(unit)
            unit = arriving.calls[index] = Unit(
                "tool_call", str(call_id), message_id, name=str(chunk.get("name") or "")
            )
            yield Opened(unit)
        if unit is not None and (arguments := chunk.get("args")):
            yield from _grown(unit, str(arguments))

    def _whole(self, unit: Unit, text: str) -> Iterator[Part]:
        yield Opened(unit)
        if text:
            yield from _grown(unit, text)
        yield Closed(unit)

    def _stop_speaking(self, arriving: _Arriving) -> Iterator[Part]:
        if arriving.spoken is not None:
            yield Closed(arriving.spoken)
            arriving.spoken = None

    def _end(self, message_id: str) -> Iterator[Part]:
        arriving = self._arriving.pop(message_id)
        yield from self._stop_speaking(arriving)
        for unit in arriving.calls.values():
            yield Closed(unit)


def _grown(unit: Unit, delta: str) -> Iterator[Part]:
    unit.text += delta
    yield Grown(unit, delta)


def _numbered(key: str, earlier: int) -> str:
    """The first part of a kind has the plain key."""
    return f"{key}-{earlier + 1}" if earlier else key


def _shown(metadata: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(metadata.get(name) is not False for name in names)
