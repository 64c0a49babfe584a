"""``demo:chat``: a stand-in for a language model that needs no key and no network, and always does the same.

It understands instructions, one a line, and carries them out one after the other; those joined by ``&&`` at the same time:

    write notes.md: buy milk            writes a file
    read notes.md                       reads one
    remember I like tea                 adds a line to the memory of the agent
    skill report                        reads the skill of that name
    ask courier: write notes.md: hi     delegates the rest to a subagent
    call send_email {"to": "ann"}       calls any tool, with arguments as JSON

A question with "remember" in it is answered with the memory, and anything else with what was said. Every answer begins with `LABEL`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from waystation.deepagents.models.instructions import HELP, Step, Surroundings, recalled, steps_of

__all__ = ["DEMO_MODELS", "LABEL", "DemoChatModel"]

LABEL = "[demo model]"
"""What every answer begins with."""

SHOWN_CHARACTERS = 400
"""How much of a tool's answer the report repeats."""


class DemoChatModel(BaseChatModel):
    """Follows the instructions in the last message of the user with the tools it is given."""

    seconds_per_word: float = 0
    """How long a streamed word takes."""

    @property
    def _llm_type(self) -> str:
        return "demo"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=_answer(messages, kwargs))])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _pieces(_answer(messages, kwargs)):
            time.sleep(self.seconds_per_word)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _pieces(_answer(messages, kwargs)):
            await asyncio.sleep(self.seconds_per_word)
            yield chunk


DEMO_MODELS: dict[str, type[DemoChatModel]] = {"chat": DemoChatModel}
"""By the name after ``demo:``."""


def _answer(messages: Sequence[BaseMessage], bound: dict[str, Any]) -> AIMessage:
    """The next message of the model in the conversation `messages`, with the tools of `bound`."""
    start = max((index for index, message in enumerate(messages) if message.type == "human"), default=-1)
    request = messages[start].text if start >= 0 else ""
    turn = messages[start + 1 :]
    surroundings = Surroundings(
        prompt="\n".join(message.text for message in messages if message.type == "system"),
        tools=frozenset(tool["function"]["name"] for tool in bound.get("tools", ())),
    )
    if not any(message.type == "tool" for message in turn) and (memory := recalled(request, surroundings)) is not None:
        return AIMessage(f"{LABEL} {memory}")
    steps, complaints = steps_of(request, surroundings)
    done = sum(isinstance(message, AIMessage) and bool(message.tool_calls) for message in turn)
    if done < len(steps):
        return _calls(steps[done], request, len(messages))
    results = [
        f"{message.name or 'tool'}: {message.text[:SHOWN_CHARACTERS]}" for message in turn if message.type == "tool"
    ]
    if results or complaints:
        return AIMessage(f"{LABEL} " + "\n".join([*(["Done."] if results else []), *results, *complaints]))
    return AIMessage(f"{LABEL} You said: {request!r}. {HELP}")


def _calls(step: Step, request: str, position: int) -> AIMessage:
    """A message that calls the tools of `step`; the ids depend on nothing but the conversation."""
    calls = []
    for index, (name, args) in enumerate(step):
        identity = hashlib.sha256(f"{request}\0{position}\0{index}".encode()).hexdigest()[:24]
        calls.append(ToolCall(name=name, args=args, id=f"call_{identity}", type="tool_call"))
    return AIMessage(f"{LABEL} Calling {', '.join(call['name'] for call in calls)}.", tool_calls=calls)


def _pieces(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """`message` as it is streamed: its words, then its tool calls."""
    for word in re.findall(r"\s*\S+", message.text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        for index, call in enumerate(message.tool_calls)
    ]
    if calls:
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=calls))
