"""A stand-in for a language model, so that this project runs without a key. It is a demo and knows nothing.

For a real model put its key into .env, install its package, and use in place of `OfflineModel(...)`:

    from langchain.chat_models import init_chat_model      # pip install 'waystation[anthropic]'

    model = init_chat_model("anthropic:claude-sonnet-4-5")
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

__all__ = ["OfflineModel"]


class OfflineModel(BaseChatModel):
    """A chat model that answers with what the function `answer` makes of the conversation, word by word."""

    answer: Callable[[list[BaseMessage]], AIMessage]
    seconds_per_word: float = 0.02

    @property
    def _llm_type(self) -> str:
        return "offline-demo"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        """Agents announce their tools here; `answer` knows already which ones it calls."""
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.answer(messages))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in _pieces(self.answer(messages)):
            time.sleep(self.seconds_per_word)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _pieces(self.answer(messages)):
            await asyncio.sleep(self.seconds_per_word)
            yield chunk


def _pieces(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """`message` as a model would stream it: its words, then its tool calls."""
    for word in re.findall(r"\S+\s*", message.text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=message.id))
    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        for index, call in enumerate(message.tool_calls)
    ]
    if calls:
        yield ChatGenerationChunk(message=AIMessageChunk(content="", id=message.id, tool_call_chunks=calls))
