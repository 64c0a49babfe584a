"""From what a client sends to the run that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ag_ui.core import Message, RunAgentInput
from msgspec import Struct

from waystation.agui.incoming import message_from, only_shown
from waystation.agui.interrupts import BREAKPOINT, command_of, open_interrupts
from waystation.agui.options import Options
from waystation.agui.state import OF_THE_CLIENT
from waystation.agui.translation import MODES
from waystation.messages import content
from waystation.messages.answers import parsed
from waystation.messages.content import conversation_of, tool_calls_of
from waystation.runs.models import RunCreateStateful
from waystation.threads.current import Current

__all__ = ["Asked", "asked_of", "body_of", "taken_back_to"]

OWN_KEY = "ag-ui"
"""Where graphs find what the client has brought along: in the state, and among the configurables."""


class Asked(Struct, frozen=True):
    """What is to be executed: an input, or a command, or neither to go on from where the thread is."""

    input: dict[str, Any] | None = None
    command: dict[str, Any] | None = None
    from_before: str | None = None
    """The id of the message from which on the conversation is to be told anew."""


def taken_back_to(messages: Sequence[Message], thread: Current) -> str | None:
    """The id of the user's message that the client wants answered anew: its last one, which the thread has answered already, or
    which says something else by now."""
    known = {message.get("id"): message for message in conversation_of(thread.values)}
    for message in reversed(messages):
        if message.role == "user" and (former := known.get(message.id)) is not None:
            if _says(message) != content.text_of(former):
                return message.id
            break
    last = next((message for message in reversed(messages) if not only_shown(message)), None)
    if last is None or last.role != "user" or last.id not in known:
        return None
    return None if conversation_of(thread.values)[-1].get("id") == last.id else last.id


def asked_of(given: RunAgentInput, options: Options, thread: Current, keys: frozenset[str]) -> Asked | None:
    """What to execute on `thread` for an assistant whose input has `keys`; None if there is nothing to do: all is known, or the
    thread waits for an answer that this is not.

    Raises UnprocessableInput."""
    takes_messages = "messages" in keys
    new = _new_messages(given.messages, thread) if takes_messages else []
    if given.resume:
        command = command_of(given.resume, thread)
        return (
            Asked(command=command)
            if command is None or not new
            else Asked(command={**command, "update": {"messages": new}})
        )
    if options.command is not None:
        command = options.command.model_dump(exclude_unset=True)
        return Asked(command={**command, "resume": parsed(command["resume"])} if "resume" in command else command)
    if any(interrupt.id != BREAKPOINT for interrupt in open_interrupts(thread)):
        return None
    state = _new_state(given, options, thread, keys)
    back_to = taken_back_to(given.messages, thread) if takes_messages else None
    if back_to is not None:
        place = [message.id for message in given.messages].index(back_to)
        return Asked(
            {**state, "messages": [message_from(each) for each in given.messages[place:] if not only_shown(each)]},
            None,
            back_to,
        )
    if takes_messages and not new and _is_answered(thread) and not state.keys() - set(OF_THE_CLIENT):
        return None
    return Asked({**state, "messages": new} if takes_messages else state)


def body_of(
    assistant_id: str, given: RunAgentInput, options: Options, asked: Asked, checkpoint_id: str | None
) -> RunCreateStateful:
    """The run, as a client of the Agent Server would ask for it."""
    config = {} if options.config is None else options.config.model_dump(exclude_none=True)
    brought = _brought(given, options)
    if brought and not options.context:
        config["configurable"] = {**(config.get("configurable") or {}), OWN_KEY: brought}
    metadata = {**(options.metadata or {}), "ag_ui_run_id": given.run_id}
    if given.parent_run_id is not None:
        metadata["ag_ui_parent_run_id"] = given.parent_run_id
    return RunCreateStateful.model_validate(
        {
            "assistant_id": assistant_id,
            "input": asked.input,
            "command": asked.command,
            "config": config,
            "context": options.context,
            "metadata": metadata,
            "checkpoint_id": checkpoint_id,
            "stream_mode": [*MODES, *(mode for mode in options.stream_mode or () if mode not in (*MODES, "messages"))],
            "stream_subgraphs": options.stream_subgraphs,
            "multitask_strategy": options.multitask_strategy,
            "on_disconnect": options.on_disconnect or "cancel",
            "if_not_exists": "create",
        }
    )


def _new_messages(messages: Sequence[Message], thread: Current) -> list[dict[str, Any]]:
    """The messages that the thread does not have, as LangChain's. Answers of tools are known by their call as well: front ends
    give them ids of their own. What was broken off in the middle of a tool call is left out, because no model takes it."""
    known = conversation_of(thread.values)
    ids = {message.get("id") for message in known}
    answered = {message.get("tool_call_id") for message in known if message.get("type") == "tool"}
    answering = {message.tool_call_id for message in messages if message.role == "tool"}
    new = []
    for message in messages:
        if only_shown(message) or message.id in ids or getattr(message, "tool_call_id", None) in answered - {None}:
            continue
        wire = message_from(message)
        if known and any(call["id"] not in answering for call in tool_calls_of(wire)):
            continue
        new.append(wire)
    return new


def _is_answered(thread: Current) -> bool:
    """Whether an assistant has had the last word; else it was kept from it, and is asked again."""
    messages = conversation_of(thread.values)
    return bool(messages) and messages[-1].get("type") == "ai"


def _new_state(given: RunAgentInput, options: Options, thread: Current, keys: frozenset[str]) -> dict[str, Any]:
    """What the client wants the state to be, as far as it is not so already: a reducer would add the same again."""
    current: Mapping[str, Any] = thread.values if isinstance(thread.values, dict) else {}
    state = given.state if isinstance(given.state, dict) else {}
    brought = _brought(given, options)
    offered = {**options.of_the_graph, **state}
    if brought or any(key in current for key in OF_THE_CLIENT):
        tools, about = brought.get("tools", []), brought.get("context", [])
        copilotkit = {**(current.get("copilotkit") or {}), "actions": tools, "context": about}
        offered |= {"tools": tools, OWN_KEY: brought, "copilotkit": copilotkit}
    return {
        key: value
        for key, value in offered.items()
        if key in keys and key != "messages" and not (key in current and current[key] == value)
    }


def _brought(given: RunAgentInput, options: Options) -> dict[str, Any]:
    """The client's tools and its context, and what it says beside the protocol."""
    brought = {
        "tools": [tool.model_dump(by_alias=True) for tool in given.tools or ()],
        "context": [each.model_dump(by_alias=True) for each in given.context or ()],
        "forwarded_props": options.of_the_graph,
    }
    return brought if any(brought.values()) else {}


def _says(message: Message) -> str:
    return content.text_of(message_from(message))
