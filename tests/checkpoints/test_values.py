"""Channel values come back as LangGraph's own serializer would give them back."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel

from waystation.storage.checkpoints.deltas import Body
from waystation.storage.checkpoints.values import Values


class Color(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


class Order(BaseModel):
    item: str
    amount: Decimal


PLAIN = [
    "",
    "text with \0 and \N{SNOWMAN}",
    0,
    -1,
    2**63,
    1.5,
    float("inf"),
    True,
    b"",
    b"\x00\xff",
    bytearray(b"ab"),
    [],
    {},
    [1, [2, {"a": None}]],
    list(range(15)),
    list(range(16)),
    list(range(70_000)),
    {"a": 1},
    {str(n): n for n in range(15)},
    {str(n): n for n in range(16)},
    {str(n): n for n in range(66_000)},
    {1: "one", 2.5: "float"},
    [None, True, "x", 1.0],
]

OBJECTS = [
    {1, 2},
    frozenset({"a"}),
    deque([1, 2]),
    UUID(int=7),
    Decimal("1.10"),
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    date(2026, 1, 2),
    time(1, 2, 3),
    timedelta(days=1, microseconds=1),
    IPv4Address("10.0.0.1"),
    re.compile("a+", re.IGNORECASE),
    Path("/a/b"),
    Color.RED,
    Point(1, [2]),
    Order(item="tea", amount=Decimal("2.50")),
    Send("node", {"a": [HumanMessage("hi", id="1")]}),
    [Send("node", 1), Send("node", 2)],
    Interrupt(value={"q": 1}, id="i"),
    Command(goto="x", update={"a": 1}),
    Document("text", metadata={"page": 1}),
]

MESSAGES: list[BaseMessage] = [
    HumanMessage("hi", id="1"),
    HumanMessage([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:"}}], name="ann"),
    AIMessage(
        "",
        id="2",
        tool_calls=[{"name": "search", "args": {"q": ["a", 1, None]}, "id": "call_1", "type": "tool_call"}],
        invalid_tool_calls=[
            {"name": "x", "args": "{", "id": "call_2", "error": "bad", "type": "invalid_tool_call"},
        ],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "m", "logprobs": None},
        additional_kwargs={"when": datetime(2026, 1, 1, tzinfo=UTC)},
    ),
    ToolMessage("found", tool_call_id="call_1", artifact={"raw": b"\x01", "ids": (1, 2)}, status="error"),
    SystemMessage("be brief"),
    ChatMessage(content="hm", role="critic"),
    RemoveMessage("1"),
    AIMessageChunk(content="part", id="3"),
    HumanMessage("more", id="4", favourite="tea"),
]


@pytest.fixture
def values() -> Values:
    return Values(JsonPlusSerializer(pickle_fallback=True))


@pytest.mark.parametrize("value", [*PLAIN, *OBJECTS], ids=lambda value: repr(value)[:30])
def test_value_comes_back_as_the_plain_serializer_gives_it(values: Values, value: Any) -> None:
    plain = JsonPlusSerializer()
    expected = plain.loads_typed(plain.dumps_typed(value))

    loaded = values.load(values.dump(value))

    assert loaded == expected
    assert type(loaded) is type(expected)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_comes_back_as_the_plain_serializer_gives_it(values: Values, message: BaseMessage) -> None:
    plain = JsonPlusSerializer()
    around: list[Any] = [HumanMessage("first", id="0"), message, "not a message", AIMessage("last", id="9")]
    expected = plain.loads_typed(plain.dumps_typed(around))

    loaded = values.load(values.dump(around))

    assert loaded == expected
    assert [type(each) for each in loaded] == [type(each) for each in expected]
    for ours, theirs in zip(loaded, expected, strict=True):
        if isinstance(ours, BaseMessage):
            assert ours.__dict__ == theirs.__dict__
            assert ours.model_fields_set == theirs.model_fields_set
            assert ours.model_extra == theirs.model_extra
            assert ours.model_dump() == theirs.model_dump()
            assert ours.model_copy(update={"content": "new"}).content == "new"


def test_message_with_the_fields_of_another_langchain_version_is_filled_in(values: Values) -> None:
    message = HumanMessage("hi", id="1")
    del message.__dict__["name"]
    message.__dict__["response_metadata"] = {"a": 1}

    [loaded] = values.load(values.dump([message]))

    assert loaded == HumanMessage("hi", id="1", response_metadata={"a": 1})


def test_each_load_gives_objects_of_its_own(values: Values) -> None:
    body = values.dump([AIMessage("a", id="1", response_metadata={"seen": []})])
    first, second = values.load(body)[0], values.load(body)[0]

    first.response_metadata["seen"].append(1)
    first.additional_kwargs["x"] = 1
    first.content += "b"

    assert second == AIMessage("a", id="1", response_metadata={"seen": []})


def test_value_that_cannot_be_serialized_is_refused(values: Values) -> None:
    with pytest.raises(TypeError, match="serializable"):
        Values(JsonPlusSerializer()).dump([HumanMessage("x"), object()])


def test_value_that_needs_pickle_comes_back_if_that_is_allowed(values: Values) -> None:
    value = [HumanMessage("x", id="1"), range(3)]

    assert values.load(values.dump(value)) == value


@pytest.mark.parametrize("value", [[], ["a"], [HumanMessage("x", id="1")], {"a": 1}, "text", None])
def test_snapshot_of_a_delta_channel_comes_back_as_one(values: Values, value: Any) -> None:
    loaded = values.load(values.dump(_DeltaSnapshot(value)))

    assert isinstance(loaded, _DeltaSnapshot)
    assert loaded.value == value


def test_another_serializer_is_used_as_it_is() -> None:
    class Reversing:
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return "reversed", str(obj).encode()[::-1]

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            assert data[0] == "reversed"
            return data[1][::-1].decode()

    values = Values(Reversing())

    body = values.dump([1, 2])

    assert isinstance(body, Body)
    assert values.load(body) == "[1, 2]"


def test_list_that_grew_begins_with_the_bytes_of_the_list_before(values: Values) -> None:
    messages: list[BaseMessage] = [HumanMessage(str(n), id=str(n)) for n in range(40)]

    for count in (1, 15, 16, 39):
        assert values.dump(messages).data.startswith(values.dump(messages[:count]).data)
        assert values.dump(list(range(40))).data.startswith(values.dump(list(range(count))).data)
