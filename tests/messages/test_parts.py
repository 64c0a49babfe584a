"""Messages as they arrive: what opens, grows and closes."""

from __future__ import annotations

from typing import Any

import pytest

from waystation.messages.parts import Closed, Grown, Opened, Parts, ToolResult


def chunk(message_id: str, content: Any = "", *, last: bool = False, **fields: Any) -> dict[str, Any]:
    position = "last" if last else None
    return {"type": "AIMessageChunk", "id": message_id, "content": content, "chunk_position": position, **fields}


def calling(index: int, call_id: str | None = None, args: str = "") -> dict[str, Any]:
    return {"index": index, "id": call_id, "name": call_id and f"{call_id}-tool", "args": args}


def told(parts: Parts, *messages: dict[str, Any], close: bool = False, **metadata: Any) -> list[str]:
    """What the messages bring, in short."""
    found = [part for message in messages for part in parts.take(message, metadata)]
    found += list(parts.close()) if close else []
    signs = {Opened: "+", Closed: "-"}
    return [
        f"{part.unit.key}:{part.delta}"
        if isinstance(part, Grown)
        else f"={part.message['tool_call_id']}"
        if isinstance(part, ToolResult)
        else f"{signs[type(part)]}{part.unit.key}"
        for part in found
    ]


def test_a_message_ends_with_its_last_chunk() -> None:
    assert told(Parts(), chunk("m", "a"), chunk("m", "b", last=True)) == ["+m", "m:a", "m:b", "-m"]


def test_what_is_broken_off_is_closed() -> None:
    parts = Parts()
    assert told(parts, chunk("m", "a"), chunk("n", "b", tool_call_chunks=[calling(0, "c")]), close=True) == [
        "+m", "m:a", "+n", "n:b", "-n", "+c", "-m", "-c",
    ]  # fmt: skip
    assert told(parts, close=True) == []


def test_messages_that_arrive_at_the_same_time() -> None:
    arriving = [chunk("m", "a"), chunk("n", "b"), chunk("m", "c", last=True), chunk("n", "d", last=True)]
    assert told(Parts(), *arriving) == ["+m", "m:a", "+n", "n:b", "m:c", "-m", "n:d", "-n"]


def test_calls_side_by_side() -> None:
    arriving = [
        chunk("m", tool_call_chunks=[calling(0, "c", "{"), calling(1, "d", "{")]),
        chunk("m", tool_call_chunks=[calling(0, None, "}"), calling(1, None, "}")], last=True),
    ]
    assert told(Parts(), *arriving) == ["+c", "c:{", "+d", "d:{", "c:}", "d:}", "-c", "-d"]


def test_a_text_that_goes_on_after_a_call_is_another() -> None:
    arriving = [chunk("m", "a"), chunk("m", tool_call_chunks=[calling(0, "c")]), chunk("m", "b", last=True)]
    assert told(Parts(), *arriving) == ["+m", "m:a", "-m", "+c", "+m-2", "m-2:b", "-m-2", "-c"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "hm"},
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "reasoning_content", "reasoning_content": {"text": "hm"}},
    ],
)
def test_thoughts_of_every_provider(block: dict[str, Any]) -> None:
    spoken = [{"type": "text", "text": "so"}]
    assert told(Parts(), chunk("m", [block]), chunk("m", spoken, last=True)) == [
        "+m-reasoning", "m-reasoning:hm", "-m-reasoning", "+m", "m:so", "-m",
    ]  # fmt: skip


def test_thoughts_beside_the_content() -> None:
    thinking = chunk("m", additional_kwargs={"reasoning_content": "hm"}, last=True)
    assert told(Parts(), thinking) == ["+m-reasoning", "m-reasoning:hm", "-m-reasoning"]


def test_whole_messages() -> None:
    ai = {"type": "ai", "id": "m", "content": "a", "tool_calls": [{"id": "c", "name": "t", "args": {"x": 1}}]}
    result = {"type": "tool", "tool_call_id": "c", "content": "r"}
    human = {"type": "human", "id": "h", "content": "q"}
    assert told(Parts(), ai, result, human) == [
        "+m", "m:a", "-m", "+c", 'c:{"x":1}', "-c", "=c", "+h", "h:q", "-h",
    ]  # fmt: skip


def test_what_a_graph_keeps_to_itself() -> None:
    arriving = chunk("m", "a", tool_call_chunks=[calling(0, "c")], last=True)
    assert told(Parts(), arriving, **{"emit-messages": False}) == ["+c", "-c"]
    assert told(Parts(), arriving, **{"copilotkit:emit-tool-calls": False}) == ["+m", "m:a", "-m"]
