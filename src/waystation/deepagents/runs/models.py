"""Wire shapes of requests for runs (MDA 11, 12.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from waystation.deepagents.errors import InvalidBody, InvalidField, MissingField
from waystation.deepagents.threads.models import NewThread
from waystation.http.bodies import Body
from waystation.runs.models import MultitaskStrategy, RunCreateStateful, RunOptions

__all__ = ["AgentRun", "AgentRunOnNewThread", "Resolution", "run_of"]

STATE = frozenset({"messages", "files"})
"""What a client may put into an agent's state."""

ROLES = frozenset({"user", "human", "assistant", "ai", "system", "tool"})


class AgentRun(RunOptions):
    """A run of an agent. Its id is called ``agent_id``, or ``assistant_id`` where the Agent Server's API shines through."""

    agent_id: str | None = None
    assistant_id: str | None = None
    messages: list[Any] | None = None
    """An older place of ``input.messages``."""
    user_timezone: str | None = None
    multitask_strategy: MultitaskStrategy | None = None
    if_not_exists: Literal["reject"] | None = None

    @property
    def agent(self) -> str:
        """The id of the agent. Raises MissingField, and InvalidBody for two."""
        given = {each for each in (self.agent_id, self.assistant_id) if each}
        if not given:
            raise MissingField("agent_id")
        if len(given) > 1:
            raise InvalidBody("send 'agent_id' only: 'assistant_id' is another one")
        return given.pop()


class AgentRunOnNewThread(AgentRun):
    """A run, and the thread to make for it."""

    thread: NewThread | None = None


class Resolution(Body):
    """How to go on after a pause: not at all, or with these decisions."""

    decisions: list[Any] | None = None


def run_of(body: AgentRun, *, speaks: bool) -> RunCreateStateful:
    """What `body` means on the engine. If it `speaks` there has to be a message, or a command. Raises MissingField, InvalidBody,
    InvalidField."""
    options = {name: getattr(body, name) for name in RunCreateStateful.model_fields if hasattr(body, name)}
    options |= {"assistant_id": body.agent, "input": _input(body, speaks=speaks)}
    return RunCreateStateful.model_construct(body.model_fields_set, **options)


def _input(body: AgentRun, *, speaks: bool) -> dict[str, Any] | None:
    given = _with_messages(body)
    messages = None if given is None else given.get("messages")
    if messages is not None and not isinstance(messages, list):
        raise InvalidBody("make 'input.messages' an array: it is something else")
    if body.command is not None and body.command.model_dump(exclude_none=True):
        if messages or (given is not None and given.keys() - {"messages"}):
            raise InvalidField("send either 'command' or new messages: a command goes on without any")
        return None
    if not messages and (speaks or given is not None):
        raise MissingField("input.messages")
    for index, message in enumerate(messages or ()):
        _check(f"input.messages[{index}]", message)
    return given


def _with_messages(body: AgentRun) -> dict[str, Any] | None:
    given = body.input
    if given is not None and not isinstance(given, Mapping):
        raise InvalidBody("make 'input' an object with 'messages': it is something else")
    if given is not None and (unknown := sorted(given.keys() - STATE)):
        raise InvalidField(f"leave out 'input.{unknown[0]}': input has {' and '.join(sorted(STATE))} only")
    if body.messages is None:
        return None if given is None else dict(given)
    if given is not None and given.get("messages"):
        raise InvalidField("send 'input.messages' only: there are 'messages' beside it")
    return {**(given or {}), "messages": body.messages}


def _check(place: str, message: Any) -> None:
    """Raises InvalidBody for what is no message, MissingField for one without content."""
    if not isinstance(message, Mapping):
        raise InvalidBody(f"make {place!r} an object with 'role' and 'content': it is something else")
    if message.get("role", message.get("type")) not in ROLES:
        raise InvalidBody(f"set '{place}.role' to user, assistant, system or tool: it is something else")
    content = message.get("content")
    if not isinstance(content, (str, list)):
        raise MissingField(f"{place}.content")
