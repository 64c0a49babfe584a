"""What clients of A2A send, in both generations of the protocol (spec 14)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from waystation.a2a.states import Scope
from waystation.http.bodies import Body
from waystation.runs.models import Command

__all__ = [
    "Configuration",
    "ListParams",
    "Message",
    "Part",
    "PushConfig",
    "PushParams",
    "PushQuery",
    "SendParams",
    "TaskParams",
]

HistoryLength = Annotated[int | None, Field(ge=0, le=10)]

Id = Annotated[str | None, BeforeValidator(lambda value: value or None)]
"""Clients send an empty text for no id."""


class _Sent(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)


class FileContent(_Sent):
    """A file as A2A 0.3 has it: its content in base64, or where it is."""

    bytes: str | None = None
    uri: str | None = None
    mimeType: str | None = None
    name: str | None = None


class Part(_Sent):
    """A piece of a message. ``raw``, ``url``, ``mediaType`` and ``filename`` are a file as A2A 1.0 has it."""

    text: str | None = None
    data: Any = None
    file: FileContent | None = None
    raw: str | None = None
    url: str | None = None
    mediaType: str | None = None
    filename: str | None = None

    @model_validator(mode="after")
    def one_content(self) -> Part:
        given = {"text", "data", "file", "raw", "url"} & self.model_fields_set
        if len(given) != 1 or getattr(self, next(iter(given), "text")) is None:
            raise ValueError("give one of text, data, file, raw and url")
        if self.file is not None and (self.file.bytes is None) == (self.file.uri is None):
            raise ValueError("a file has either bytes or a uri")
        return self


class Message(_Sent):
    """What a client says to an agent. `command` is LangGraph's extension: what to tell the graph besides."""

    messageId: str
    role: Literal["user", "agent", "ROLE_USER", "ROLE_AGENT"]
    parts: list[Part] = Field(min_length=1)
    contextId: Id = None
    taskId: Id = None
    metadata: dict[str, Any] | None = None
    command: Command | None = None


class Authentication(_Sent):
    """How to authenticate to whoever is notified: `schemes` in A2A 0.3, `scheme` in 1.0."""

    schemes: list[str] | None = None
    scheme: str | None = None
    credentials: str | None = None


class PushConfig(_Sent):
    """Whom to notify when a task has ended, or waits for an answer."""

    url: str = Field(min_length=1)
    id: Id = None
    token: str | None = None
    authentication: Authentication | None = None


class Configuration(_Sent):
    """How the client wants its answer. `blocking` is A2A 0.3, `returnImmediately` 1.0."""

    acceptedOutputModes: list[str] | None = None
    blocking: bool | None = None
    returnImmediately: bool | None = None
    historyLength: HistoryLength = None
    historyScope: Scope | None = None
    pushNotificationConfig: PushConfig | None = None
    taskPushNotificationConfig: PushConfig | None = None


class SendParams(Body):
    """``SendMessage``, ``SendStreamingMessage``."""

    message: Message
    configuration: Configuration = Field(default_factory=Configuration)
    metadata: dict[str, Any] | None = None


class TaskParams(Body):
    """``GetTask``, ``CancelTask``, ``SubscribeToTask``."""

    id: str
    contextId: Id = None
    historyLength: HistoryLength = None
    historyScope: Scope | None = None


class ListParams(Body):
    """``ListTasks``."""

    contextId: Id = None
    status: Id = None
    statusTimestampAfter: Annotated[datetime | None, Field(strict=False)] = None
    pageSize: int = Field(50, ge=1, le=100)
    pageToken: Annotated[str, Field(pattern=r"^\d{0,9}$")] = ""
    historyLength: HistoryLength = 0
    historyScope: Scope | None = None
    includeArtifacts: bool = False


class PushParams(Body):
    """Setting whom to notify: the configuration is `pushNotificationConfig` in A2A 0.3, and all of this in 1.0."""

    taskId: str
    pushNotificationConfig: PushConfig | None = None


class PushQuery(Body):
    """Asking for such configurations: the task is `id` and the configuration `pushNotificationConfigId` in A2A 0.3, `taskId` and
    `id` in 1.0."""

    id: Id = None
    taskId: Id = None
    pushNotificationConfigId: Id = None
