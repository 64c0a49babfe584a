"""From the events of a run to those of a response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from waystation.encoding import decode, encode
from waystation.messages.content import Message, conversation_of
from waystation.messages.parts import Closed, Grown, Opened, Part, Parts, ToolResult, Unit
from waystation.responses.ids import BREAKPOINT
from waystation.responses.items import call_item, late_call, text_item, thought_item
from waystation.responses.response import Outcome, Subject, failed
from waystation.responses.stored import State, rested
from waystation.streams.events import Event, RunEnd

__all__ = ["Translation", "event_frame"]

Json = dict[str, Any]
_INTERRUPTS = "__interrupt__"


class Translation:
    """One run. The same events always give the same frames, so that a stream can be taken up again at any number."""

    def __init__(self, subject: Subject, starting_after: int | None = None) -> None:
        self._subject = subject
        self._silent_until = -1 if starting_after is None else starting_after
        self._number = -1
        self._parts = Parts()
        self._indexes: dict[str, int] = {}
        self._calls: dict[str, Unit] = {}
        """Calls of the assistant's own tools that have no result yet."""
        self._state = State()
        self._error: Json | None = None
        self._interrupts: dict[str, Json] = {}

    def begin(self) -> Iterator[bytes]:
        """What a stream begins with."""
        for status, kind in (("queued", "created"), ("in_progress", "in_progress")):
            status = "in_progress" if not self._subject.asked.get("background") else status
            yield from self._send(f"response.{kind}", response=self._subject.response(Outcome(status)))

    def take(self, event: Event) -> Iterator[bytes]:
        """One event of the run."""
        data = decode(event.data)
        if event.name == "metadata" and data.get("attempt", 1) > 1:
            yield from self._told(self._parts.close())
        elif event.name == "messages":
            yield from self._told(self._parts.take(*data))
        elif event.name == "values":
            yield from self._told(self._parts.close())
            self._state = State(conversation_of(data))
        elif event.name == "updates" and isinstance(data, dict) and _INTERRUPTS in data:
            waiting = data[_INTERRUPTS] or [{"id": BREAKPOINT, "value": None}]
            self._interrupts.update({str(each["id"]): each for each in waiting})
        elif event.name == "error":
            self._error = data

    def end(self, end: RunEnd) -> Iterator[bytes]:
        """The run is over."""
        yield from self._told(self._parts.close())
        outcome = rested(self._subject, State(self._state.messages, list(self._interrupts.values())))
        if end.status in ("interrupted", "rollback"):
            outcome = Outcome("cancelled", outcome.output, usage=outcome.usage)
        elif end.status != "success":
            outcome = failed(self._error, outcome.output)
        yield from self._leftovers(outcome)
        kind = {"completed": "completed", "failed": "failed"}.get(outcome.status, "incomplete")
        yield from self._send(f"response.{kind}", response=self._subject.response(outcome))

    def broken(self, message: str, code: str) -> Iterator[bytes]:
        """No more is known of the run."""
        yield from self._send("error", code=code, message=message, param=None)

    # --- items

    def _told(self, parts: Iterator[Part]) -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, ToolResult):
                yield from self._result(part.message)
            elif part.unit.kind == "tool_call" and part.unit.name not in self._subject.functions:
                if isinstance(part, Closed):
                    yield from self._called(part.unit)
            elif part.unit.role == "ai":
                yield from self._unit(part)

    def _unit(self, part: Opened | Grown | Closed) -> Iterator[bytes]:
        unit = part.unit
        if isinstance(part, Opened):
            yield from self._added(_item(unit, "", "in_progress"))
            if unit.kind != "tool_call":
                yield from self._about(unit, "response.content_part.added", content_index=0, part=_content(unit, ""))
        elif isinstance(part, Grown):
            yield from self._about(unit, f"{_NAMES[unit.kind]}.delta", **_where(unit), delta=part.delta)
        else:
            name = f"{_NAMES[unit.kind]}.done"
            if unit.kind == "tool_call":
                yield from self._about(unit, name, arguments=unit.text, name=unit.name)
            else:
                yield from self._about(unit, name, **_where(unit), text=unit.text)
                yield from self._about(
                    unit, "response.content_part.done", content_index=0, part=_content(unit, unit.text)
                )
            yield from self._done(_item(unit, unit.text, "completed"))

    def _called(self, unit: Unit) -> Iterator[bytes]:
        """A call of a tool of the assistant's own, whose arguments are known."""
        unit.text = _as_stored(unit.text)
        self._calls[unit.key] = unit
        yield from self._added(call_item(unit.key, unit.name, "", theirs=False, status="in_progress"))
        item = {"output_index": self._indexes[f"mcp_{unit.key}"], "item_id": f"mcp_{unit.key}"}
        yield from self._send("response.mcp_call.in_progress", **item)
        yield from self._send("response.mcp_call_arguments.delta", **item, delta=unit.text)
        yield from self._send("response.mcp_call_arguments.done", **item, arguments=unit.text)

    def _result(self, message: Message) -> Iterator[bytes]:
        if str(message.get("tool_call_id")) not in self._calls:
            call = late_call(message, self._state.messages)
            if call is None or call["name"] in self._subject.functions:
                return
            unit = Unit("tool_call", call["id"], "", name=call["name"], text=call["arguments"])
            yield from self._called(unit)  # an earlier response has made the call, and had to wait
        unit = self._calls.pop(str(message.get("tool_call_id")))
        done = call_item(unit.key, unit.name, unit.text, theirs=False, result=message)
        kind = "failed" if done["status"] == "failed" else "completed"
        yield from self._send(f"response.mcp_call.{kind}", output_index=self._indexes[done["id"]], item_id=done["id"])
        yield from self._done(done)

    def _leftovers(self, outcome: Outcome) -> Iterator[bytes]:
        """The ends of calls without a result, and what the client has to answer."""
        for unit in self._calls.values():
            yield from self._done(call_item(unit.key, unit.name, unit.text, theirs=False))
        for item in outcome.output:
            if item["id"] not in self._indexes and item["type"] == "function_call":
                yield from self._added({**item, "arguments": "", "status": "in_progress"})
                about = {"output_index": self._indexes[item["id"]], "item_id": item["id"]}
                name = "response.function_call_arguments"
                yield from self._send(f"{name}.delta", **about, delta=item["arguments"])
                yield from self._send(f"{name}.done", **about, arguments=item["arguments"], name=item["name"])
                yield from self._done(dict(item))

    def _about(self, unit: Unit, kind: str, **fields: Any) -> Iterator[bytes]:
        item_id = _item(unit, "", "")["id"]
        yield from self._send(kind, item_id=item_id, output_index=self._indexes[item_id], **fields)

    def _added(self, item: Json) -> Iterator[bytes]:
        self._indexes[item["id"]] = len(self._indexes)
        yield from self._send("response.output_item.added", output_index=self._indexes[item["id"]], item=item)

    def _done(self, item: Json) -> Iterator[bytes]:
        yield from self._send("response.output_item.done", output_index=self._indexes[item["id"]], item=item)

    def _send(self, kind: str, **fields: Any) -> Iterator[bytes]:
        self._number += 1
        if self._number > self._silent_until:
            yield event_frame(kind, self._number, **fields)


def event_frame(kind: str, number: int, **fields: Any) -> bytes:
    """An event for the wire."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, "sequence_number": number, **fields}))


_NAMES = {
    "text": "response.output_text",
    "reasoning": "response.reasoning_text",
    "tool_call": "response.function_call_arguments",
}


def _as_stored(arguments: str) -> str:
    """Arguments of a tool as they will be in the state."""
    try:
        return encode(decode(arguments or "{}")).decode()
    except ValueError:
        return arguments


def _item(unit: Unit, text: str, status: str) -> Json:
    if unit.kind == "text":
        return text_item(unit.key, text, status)
    if unit.kind == "reasoning":
        return thought_item(unit.key, text, status)
    return call_item(unit.key, unit.name, text or ("{}" if status == "completed" else ""), theirs=True, status=status)


def _content(unit: Unit, text: str) -> Json:
    if unit.kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _where(unit: Unit) -> Mapping[str, Any]:
    if unit.kind == "tool_call":
        return {}
    return {"content_index": 0} if unit.kind == "reasoning" else {"content_index": 0, "logprobs": []}
