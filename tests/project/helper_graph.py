"""An assistant with a tool of the server's, one that asks first, and those that a client brings along: for the protocols of front
ends. Its model says what its last message tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

Helper = TypedDict(
    "Helper",
    {
        "messages": Annotated[list[BaseMessage], add_messages],
        "tools": list[dict[str, Any]],
        "copilotkit": dict[str, Any],
        "ag-ui": dict[str, Any],
        "notes": dict[str, Any],
    },
    total=False,
)

SERVER_TOOLS = ("weather", "delete")
USED = UsageMetadata(input_tokens=10, output_tokens=5, total_tokens=15)


class Obedient(BaseChatModel):
    """``call NAME`` makes it call that tool, after a thought and a word; ``fail`` makes it fail; all else it repeats."""

    @property
    def _llm_type(self) -> str:
        return "obedient"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="whole"))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _said(messages):
            await asyncio.sleep(0)
            yield ChatGenerationChunk(message=chunk)


def _said(messages: list[BaseMessage]) -> list[AIMessageChunk]:
    last = messages[-1]
    order, _, name = str(last.text).partition(" ")
    if isinstance(last, ToolMessage):
        return [AIMessageChunk(content="The tool "), AIMessageChunk(content=f"said: {last.text}", usage_metadata=USED)]
    if order == "fail":
        raise ValueError("the model failed")
    if order != "call":
        words = [AIMessageChunk(content=f"{word} ") for word in str(last.text).split()]
        systems = [str(each.text) for each in messages if each.type == "system"]
        return [*words, AIMessageChunk(content="".join(f"({text})" for text in systems), usage_metadata=USED)]
    call_id = f"call-{uuid4()}"

    def part(call: str | None, args: str) -> AIMessageChunk:
        chunk = tool_call_chunk(name=name if call else None, args=args, id=call, index=0)
        return AIMessageChunk(content="", tool_call_chunks=[chunk])

    thought: list[Any] = [{"type": "thinking", "thinking": "Which tool?", "index": 0}]
    return [
        AIMessageChunk(content=thought),
        AIMessageChunk(content=[{"type": "text", "text": "One moment.", "index": 1}]),
        part(call_id, ""),
        part(None, '{"city":'),
        part(None, ' "Paris"}'),
        AIMessageChunk(content="", usage_metadata=USED),
    ]


async def model(state: Helper) -> Any:
    whole: Any = None
    async for chunk in Obedient().astream(state["messages"]):
        whole = chunk if whole is None else whole + chunk
    return {"messages": [whole], "notes": {**state.get("notes", {}), "answers": _count(state) + 1}}


def _count(state: Helper) -> int:
    answers: int = state.get("notes", {}).get("answers", 0)
    return answers


def tool(state: Helper) -> Any:
    call = getattr(state["messages"][-1], "tool_calls", [])[0]
    get_stream_writer()({"name": "progress", "value": call["name"]})
    said = f"sunny in {call['args']['city']}"
    if call["name"] == "delete":
        said = f"told {interrupt({'question': 'Really?', 'tool_call_id': call['id']})}"
    return {"messages": [ToolMessage(said, tool_call_id=call["id"])]}


def next_step(state: Helper) -> str:
    calls = getattr(state["messages"][-1], "tool_calls", [])
    return "tool" if calls and calls[0]["name"] in SERVER_TOOLS else END


_graph = StateGraph(Helper)
_graph.add_node("model", model)
_graph.add_node("tool", tool)
_graph.add_edge(START, "model")
_graph.add_conditional_edges("model", next_step, ["tool", END])
_graph.add_edge("tool", "model")
helper = _graph.compile()
