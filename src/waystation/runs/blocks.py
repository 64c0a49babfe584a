"""What a run of the event streaming protocol records beside the events of every run: messages as content blocks, and tools.

The rest (values, updates, tasks, checkpoints, custom) is recorded as for any run, so that such a run can be followed by older
clients as well; `waystation.protocol` makes of it what the protocol wants.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models._compat_bridge import achunks_to_events, message_to_events
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk

from waystation.runs.errors import GENERIC_MESSAGE, sanitise
from waystation.runs.translate import EVENT_STREAMING_MODES, Emit, Translator
from waystation.streams.events import PROTOCOL_ONLY

__all__ = ["BlockTranslator"]

ROLES = {"tool": "tool", "human": "human", "system": "system"}
"""Who speaks, by the type of a message; everything else is ``ai``."""


class BlockTranslator(Translator):
    """A `Translator` that records tools, and messages in the form of the protocol: one event for each part of a message.

    Tokens are taken from the same callbacks as for other runs, so that graphs behave the same and stream whichever way they
    call their model."""

    def __init__(self, emit: Emit) -> None:
        super().__init__(EVENT_STREAMING_MODES, emit, subgraphs=True)
        self._open: dict[str, _Streaming] = {}
        self._told: set[str] = set()
        self._tool_errors = _ToolErrors()
        self.parts: list[tuple[tuple[str, ...], Any]] | None = None
        """The events of messages for stream transformers, each with its namespace and as they want them; None without any."""

    @property
    def callbacks(self) -> Sequence[BaseCallbackHandler]:
        return (self._tool_errors,)

    def chunk(self, namespace: tuple[str, ...], mode: str, payload: Any) -> None:
        if mode == "tools":
            self._record("tools", namespace, {"data": self._tool_errors.shown(payload)})
            return
        if mode == "tasks" and isinstance(error := payload.get("error"), BaseException):
            told = sanitise(error)
            payload = {**payload, "error": f"{told['error']}({told['message']!r})"}
        if mode in ("updates", "tasks"):
            self._finish_within(namespace, mode, payload)
        super().chunk(namespace, mode, payload)

    def projected(self, name: str, payload: Any) -> None:
        """Record what a stream transformer of the project has put on its channel `name`."""
        self._record("projection", (), {"data": {"name": name, "payload": payload}})

    def finish(self) -> None:
        """The graph has ended: whatever message is still open is complete."""
        for message_id in list(self._open):
            self._finish(message_id)

    def _record(self, name: str, namespace: tuple[str, ...], payload: Mapping[str, Any]) -> None:
        self._emit("|".join((PROTOCOL_ONLY + name, *namespace)), payload)

    # --- messages

    def _messages(self, namespace: tuple[str, ...], payload: tuple[BaseMessage, Mapping[str, Any]]) -> None:
        message, metadata = payload
        message_id, node = message.id or "", metadata.get("langgraph_node")
        if isinstance(message, AIMessageChunk) and (message_id in self._open or message_id not in self._told):
            self._streamed(namespace, message, message_id, node)
        elif message_id not in self._told:
            self._told.add(message_id)
            self._whole(namespace, message, message_id, node)

    def _streamed(self, namespace: tuple[str, ...], chunk: AIMessageChunk, message_id: str, node: str | None) -> None:
        streaming = self._open.get(message_id)
        if streaming is None:
            self._told.add(message_id)
            streaming = self._open[message_id] = _Streaming(message_id, namespace, node)
        for event in streaming.feed(chunk):
            self._part(namespace, node, message_id, event)
        if chunk.chunk_position == "last":
            self._finish(message_id)

    def _whole(self, namespace: tuple[str, ...], message: BaseMessage, message_id: str, node: str | None) -> None:
        """A message that did not stream. One of a tool is filed under the tool call."""
        start: dict[str, Any] = {"role": ROLES.get(message.type, "ai")}
        if isinstance(message, ToolMessage):
            namespace = (*namespace, f"tools:{message.tool_call_id}")
            start["tool_call_id"] = message.tool_call_id
        for event in message_to_events(message, message_id=message_id):
            self._part(namespace, node, message_id, {**event, **start} if event["event"] == "message-start" else event)

    def _part(self, namespace: tuple[str, ...], node: str | None, message_id: str, event: Mapping[str, Any]) -> None:
        """One event of a message. `run_id` tells parallel messages of a node apart; the older Python client needs the
        message's id for that."""
        data = {**event, "run_id": message_id.removeprefix("lc_run--")}
        if len(self._open) > 1:
            data["id"] = message_id
        if self.parts is not None:
            self.parts.append((namespace, (data, {"langgraph_node": node, "run_id": data["run_id"]})))
        self._record("messages", namespace, {"data": data, "node": node} if node else {"data": data})

    def _finish_within(self, namespace: tuple[str, ...], mode: str, payload: Any) -> None:
        """A node has ended, and with it the messages it has not said were complete."""
        if not self._open:
            return
        ended = payload if mode == "updates" else [payload["name"]] if "result" in payload else ()
        for message_id, streaming in list(self._open.items()):
            if streaming.namespace == namespace and streaming.node in ended:
                self._finish(message_id)

    def _finish(self, message_id: str) -> None:
        streaming = self._open[message_id]
        for event in streaming.close():
            self._part(streaming.namespace, streaming.node, message_id, event)
        del self._open[message_id]


class _ToolErrors(BaseCallbackHandler):
    """Remembers what clients may see of the errors of tools: the events tell the text of any, which may hold anything."""

    run_inline = True

    def __init__(self) -> None:
        self._calls: dict[UUID, str] = {}
        self._shown: dict[str, str] = {}

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        self._calls[run_id] = kwargs.get("tool_call_id") or str(run_id)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._calls.pop(run_id, None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        if (call := self._calls.pop(run_id, None)) is not None:
            self._shown[call] = sanitise(error)["message"]

    def shown(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """An event of a tool as clients may see it."""
        if event["event"] != "tool-error":
            return event
        return {**event, "message": self._shown.pop(event["tool_call_id"], GENERIC_MESSAGE)}


class _Streaming:
    """A message that arrives in chunks. LangChain's converter wants to pull them; here they are pushed: the coroutine that it
    waits in is only resumed when there is a chunk."""

    def __init__(self, message_id: str, namespace: tuple[str, ...], node: str | None) -> None:
        self.namespace = namespace
        self.node = node
        self._chunks: deque[ChatGenerationChunk] = deque()
        self._over = False
        self._events = achunks_to_events(self._arriving(), message_id=message_id)
        self._step: Any = None

    def feed(self, chunk: AIMessageChunk) -> Iterator[Mapping[str, Any]]:
        """The events that follow from one more chunk."""
        self._chunks.append(ChatGenerationChunk(message=chunk))
        return self._advance()

    def close(self) -> Iterator[Mapping[str, Any]]:
        """The events that end the message."""
        self._over = True
        return self._advance()

    def _advance(self) -> Iterator[Mapping[str, Any]]:
        while True:
            step: Any = self._step or self._events.__anext__()
            try:
                step.send(None)
            except StopIteration as done:
                self._step = None
                yield done.value
            except StopAsyncIteration:
                return
            else:
                self._step = step  # it waits for the next chunk
                return

    async def _arriving(self) -> AsyncIterator[ChatGenerationChunk]:
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self._over:
                return
            await _next_chunk()


@types.coroutine
def _next_chunk() -> Generator[None, None, None]:
    yield
