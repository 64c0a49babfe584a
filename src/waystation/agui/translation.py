"""From the events of a run to those of AG-UI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ag_ui.core import (
    PROTOCOL_VERSION,
    BaseEvent,
    CustomEvent,
    Interrupt,
    MessagesSnapshotEvent,
    RawEvent,
    ReasoningEndEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedOutcome,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    StepFinishedEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    TokenUsage,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from ag_ui.core.token_usage import aggregate_token_usage, token_usage_from_langchain_metadata
from uuid_utils import uuid4

from waystation.agui.interrupts import BREAKPOINT, asked
from waystation.agui.outgoing import messages_to, tool_content
from waystation.agui.state import SharedState
from waystation.encoding import decode
from waystation.messages.content import conversation_of, unanswered
from waystation.messages.parts import Closed, Grown, Opened, Part, Parts, Unit
from waystation.streams.events import Event, RunEnd

__all__ = ["MODES", "Translation", "frame"]

MODES = ("values", "updates", "messages-tuple", "tasks", "custom")
"""What a run has to stream."""

ON_INTERRUPT = "on_interrupt"
"""The custom event by which CopilotKit's hooks learn of an interrupt."""

_ROLES = {"human": "user", "system": "system", "ai": "assistant"}
_INTERRUPTS = "__interrupt__"


def frame(event: BaseEvent) -> bytes:
    """`event` for the wire. The lines end with LF: the client of the protocol knows no other."""
    return b"data: %b\n\n" % event.model_dump_json(by_alias=True).encode()


class Translation:
    """One run. Every method gives the events that are to be sent."""

    def __init__(self, given: RunAgentInput, *, tells_outcome: bool = True) -> None:
        """`tells_outcome` is false for clients that take an outcome amiss."""
        self._given = given
        self._tells_outcome = tells_outcome
        self._parts = Parts()
        self._state = SharedState()
        self._values: Any = None
        self._steps: Counter[str] = Counter()
        self._interrupts: dict[str, Mapping[str, Any]] = {}
        self._at_breakpoint = False
        self._usage: list[TokenUsage] = []
        self._failed = False

    def begin(self) -> Iterator[BaseEvent]:
        given = self._given
        yield RunStartedEvent(
            thread_id=given.thread_id,
            run_id=given.run_id,
            parent_run_id=given.parent_run_id,
            protocol_version=PROTOCOL_VERSION,
        )

    def take(self, event: Event) -> Iterator[BaseEvent]:
        """One event of the run."""
        mode, _, namespace = event.name.partition("|")
        data = decode(event.data)
        if mode == "metadata":
            if data.get("attempt", 1) > 1:  # what the attempt before has begun will not be finished
                yield from self._close()
        elif mode == "messages":
            yield from self._message(*data)
        elif mode == "values" and not namespace:
            yield from self._becomes(data)
        elif mode == "updates" and not namespace:
            self._updated(data)
        elif mode == "tasks":
            yield from self._step(namespace, data)
        elif mode == "custom":
            yield _custom(data)
        elif mode == "error":
            self._failed = True
            yield RunErrorEvent(message=data["message"], code=data["error"], usage=self._used())
        elif mode not in MODES:
            yield RawEvent(event={"event": event.name, "data": data}, source="langgraph")

    def end(self, end: RunEnd) -> Iterator[BaseEvent]:
        """The run is over."""
        if self._failed:
            return
        yield from self._close()
        if end.status == "success":
            yield from self.rest(self._asked())
        elif end.status in ("interrupted", "rollback"):
            yield self._finished(RunFinishedCancelledOutcome())
        else:
            yield self.broken("The run took too long." if end.status == "timeout" else "The run failed.", end.status)

    def broken(self, message: str, code: str) -> BaseEvent:
        """No more is known of the run."""
        return RunErrorEvent(message=message, code=code, usage=self._used())

    def shows(self, values: Any) -> Iterator[BaseEvent]:
        """The state of a thread that nothing is run on."""
        yield from self._becomes(values)

    def rest(self, interrupts: list[Interrupt]) -> Iterator[BaseEvent]:
        """The conversation as it is now, and what comes next."""
        messages = conversation_of(self._values)
        if isinstance(self._values, dict) and "messages" in self._values:
            yield MessagesSnapshotEvent(messages=messages_to(messages))
        for interrupt in interrupts:
            raw = (interrupt.metadata or {}).get("langgraph", {}).get("raw")
            yield CustomEvent(name=ON_INTERRUPT, value=raw)
        if interrupts:
            yield self._finished(RunFinishedInterruptOutcome(interrupts=interrupts))
        else:
            pending = [call["id"] for call in unanswered(messages)]
            yield self._finished(RunFinishedSuccessOutcome(pending_tool_call_ids=pending))

    # --- what the events say

    def _becomes(self, values: Any) -> Iterator[BaseEvent]:
        yield from self._told(self._parts.close())
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if key != _INTERRUPTS}
        self._values = values
        yield from self._state.becomes(values)

    def _message(self, message: dict[str, Any], metadata: dict[str, Any]) -> Iterator[BaseEvent]:
        used = token_usage_from_langchain_metadata(
            message.get("usage_metadata"), provider=metadata.get("ls_provider"), model=metadata.get("ls_model_name")
        )
        if used is not None:
            self._usage.append(used)
        yield from self._told(self._parts.take(message, metadata))

    def _told(self, parts: Iterator[Part]) -> Iterator[BaseEvent]:
        for part in parts:
            if isinstance(part, Opened):
                yield from _opened(part.unit)
            elif isinstance(part, Grown):
                yield _grown(part.unit, part.delta)
            elif isinstance(part, Closed):
                yield from _closed(part.unit)
            else:
                message = part.message
                yield ToolCallResultEvent(
                    message_id=str(message.get("id") or uuid4()),
                    tool_call_id=str(message.get("tool_call_id")),
                    content=tool_content(message),
                    role="tool",
                )

    def _updated(self, update: Any) -> None:
        if isinstance(update, dict) and _INTERRUPTS in update:
            self._at_breakpoint = self._at_breakpoint or not update[_INTERRUPTS]
            self._interrupts.update({str(each.get("id")): each for each in update[_INTERRUPTS]})

    def _asked(self) -> list[Interrupt]:
        if self._at_breakpoint and not self._interrupts:
            return [Interrupt(id=BREAKPOINT, reason=BREAKPOINT)]
        return [asked(each) for each in self._interrupts.values()]

    def _step(self, namespace: str, task: Mapping[str, Any]) -> Iterator[BaseEvent]:
        """Several tasks of a node make one step: a step is known by its name."""
        above = [part.split(":", 1)[0] for part in namespace.split("|") if part]
        name = "/".join([*above, str(task.get("name"))])
        if "input" in task:
            self._steps[name] += 1
            if self._steps[name] == 1:
                yield StepStartedEvent(step_name=name)
        elif self._steps[name]:
            self._steps[name] -= 1
            if not self._steps[name]:
                yield StepFinishedEvent(step_name=name)

    # --- ends

    def _close(self) -> Iterator[BaseEvent]:
        yield from self._told(self._parts.close())
        for name, open_tasks in self._steps.items():
            if open_tasks:
                yield StepFinishedEvent(step_name=name)
        self._steps.clear()

    def _finished(self, outcome: RunFinishedOutcome) -> BaseEvent:
        return RunFinishedEvent(
            thread_id=self._given.thread_id,
            run_id=self._given.run_id,
            outcome=outcome if self._tells_outcome else None,
            usage=self._used(),
        )

    def _used(self) -> list[TokenUsage] | None:
        return aggregate_token_usage(self._usage) or None


def _opened(unit: Unit) -> Iterator[BaseEvent]:
    if unit.kind == "text":
        yield TextMessageStartEvent(message_id=unit.key, role=_ROLES[unit.role])  # type: ignore[arg-type]
    elif unit.kind == "reasoning":
        yield ReasoningStartEvent(message_id=unit.key)
        yield ReasoningMessageStartEvent(message_id=unit.key)
    else:
        yield ToolCallStartEvent(tool_call_id=unit.key, tool_call_name=unit.name, parent_message_id=unit.message_id)


def _grown(unit: Unit, delta: str) -> BaseEvent:
    if unit.kind == "text":
        return TextMessageContentEvent(message_id=unit.key, delta=delta)
    if unit.kind == "reasoning":
        return ReasoningMessageContentEvent(message_id=unit.key, delta=delta)
    return ToolCallArgsEvent(tool_call_id=unit.key, delta=delta)


def _closed(unit: Unit) -> Iterator[BaseEvent]:
    if unit.kind == "text":
        yield TextMessageEndEvent(message_id=unit.key)
    elif unit.kind == "reasoning":
        yield ReasoningMessageEndEvent(message_id=unit.key)
        yield ReasoningEndEvent(message_id=unit.key)
    else:
        yield ToolCallEndEvent(tool_call_id=unit.key)


def _custom(data: Any) -> BaseEvent:
    """What a graph has written to its stream, under the name that it gives: ``{"name": ..., "value": ...}``."""
    if isinstance(data, dict) and data.keys() == {"name", "value"} and isinstance(data["name"], str):
        return CustomEvent(name=data["name"], value=data["value"])
    return CustomEvent(name="custom", value=data)
