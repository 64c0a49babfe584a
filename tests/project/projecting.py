"""A graph whose module has stream transformers."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer


class Words(StreamTransformer):
    """Counts the words of messages, and fails for one that says so."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._words: StreamChannel[dict[str, Any]] = StreamChannel("words")
        self._count = 0

    def init(self) -> dict[str, Any]:
        return {"words": self._words}

    def process(self, event: ProtocolEvent) -> bool:
        if event["method"] == "messages":
            data, _ = event["params"]["data"]
            if data["event"] == "content-block-finish":
                if data["content"]["text"] == "fail":
                    raise ValueError("a transformer's own")
                self._count += len(data["content"]["text"].split())
                self._words.push({"so_far": self._count})
        return True

    def finalize(self) -> None:
        self._words.push({"in_all": self._count})


def stream_transformers() -> list[Any]:
    return [Words]


async def repeat(state: MessagesState) -> Any:
    said = str(state["messages"][-1].content)
    model = GenericFakeChatModel(messages=iter([AIMessage(said)]))
    return {"messages": [await model.ainvoke(state["messages"])]}


_counting = StateGraph(MessagesState)
for _name, _next in (("first", "second"), ("second", END)):
    _counting.add_node(_name, repeat)
    _counting.add_edge(_name, _next)
_counting.add_edge(START, "first")
counting = _counting.compile()
