"""A front end that speaks AG-UI: it sends what the protocol's package makes, and believes only what the package can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import jsonpatch
from ag_ui.core import PROTOCOL_VERSION, BaseEvent, Event, Message, RunAgentInput, UserMessage
from pydantic import TypeAdapter

__all__ = ["FrontEnd", "user"]

EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


def user(text: str, **fields: Any) -> UserMessage:
    return UserMessage(id=str(uuid4()), content=text, **fields)


class FrontEnd:
    """One conversation with an assistant."""

    def __init__(self, http: httpx.AsyncClient, assistant: str = "helper", thread_id: str | None = None) -> None:
        self.http = http
        self.path = f"/agui/{assistant}"
        self.thread_id = thread_id or str(uuid4())
        self.messages: list[Message] = []
        self.state: Any = None
        self.headers: dict[str, str] = {}

    def input(self, *new: Message, **fields: Any) -> dict[str, Any]:
        self.messages += new
        given = RunAgentInput(
            **{
                "thread_id": self.thread_id,
                "run_id": str(uuid4()),
                "protocol_version": PROTOCOL_VERSION,
                "messages": self.messages,
                "state": self.state,
                "tools": [],
                "context": [],
                "forwarded_props": {},
                **fields,
            }
        )
        dumped: dict[str, Any] = given.model_dump(by_alias=True, mode="json")
        return dumped

    async def says(self, text: str, **fields: Any) -> list[Any]:
        return await self.runs(user(text), **fields)

    async def runs(self, *new: Message, **fields: Any) -> list[Any]:
        """The events of a run, after they have changed what the front end shows."""
        response = await self.http.post(self.path, json=self.input(*new, **fields), headers=self.headers)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        events = read(response.text)
        for event in events:
            self._shown(event)
        return events

    def _shown(self, event: Any) -> None:
        if event.type == "STATE_SNAPSHOT":
            self.state = event.snapshot
        elif event.type == "STATE_DELTA":
            patch = [each.model_dump(by_alias=True) for each in event.delta]
            self.state = jsonpatch.apply_patch(self.state, patch)
        elif event.type == "MESSAGES_SNAPSHOT":
            self.messages = event.messages

    @property
    def shown(self) -> list[tuple[str, Any]]:
        return [(message.role, message.content) for message in self.messages]


def read(text: str) -> list[Any]:
    """Every event of a stream. What the package's models do not know is a mistake."""
    events: list[Any] = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            assert block.startswith("data: ")
            event = EVENT.validate_python(json.loads(block.removeprefix("data: ")))
            assert not event.model_extra, event
            events.append(event)
    return events


def types(events: Sequence[Any]) -> list[str]:
    return [event.type.value for event in events]


def of(events: Sequence[Any], kind: str) -> list[Any]:
    return [event for event in events if event.type == kind]
