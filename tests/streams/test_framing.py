"""Bytes on the wire: headers, frames, heartbeats (spec 8.1)."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.driver import Driver
from tests.gate import Gate
from tests.sse import parse

BEAT = b": heartbeat\r\n\r\n"


@pytest.mark.parametrize("path", ["/threads/{thread}/runs/stream", "/runs/stream"])
async def test_headers(driver: Driver, path: str) -> None:
    thread = await driver.thread()
    response = await driver.http.post(path.format(thread=thread), json={"assistant_id": "echo", "input": {}})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"


async def test_frames_byte_for_byte(driver: Driver) -> None:
    body = {"assistant_id": "custom", "stream_mode": "custom", "input": {}}
    response = await driver.http.post("/runs/stream", json=body)
    metadata, one, two = response.content.split(b"\r\n\r\n")[:-1]
    assert re.fullmatch(rb'event: metadata\r\ndata: \{"run_id":"[0-9a-f-]{36}","attempt":1\}', metadata)
    assert one == b'event: custom\r\ndata: {"progress":1}'
    assert two == b'event: custom\r\ndata: {"progress":2}'


async def test_frames_of_a_resumable_stream_end_with_their_id(driver: Driver) -> None:
    body = {"assistant_id": "custom", "stream_mode": "custom", "input": {}, "stream_resumable": True}
    response = await driver.http.post("/runs/stream", json=body)
    for frame in response.content.split(b"\r\n\r\n")[:-1]:
        assert re.fullmatch(rb"event: \w+\r\ndata: [^\r\n]+\r\nid: \d{13}-\d+", frame)


async def test_line_breaks_in_data_stay_within_one_line(driver: Driver) -> None:
    given = "a\r\n\r\nb\nc\u2028d\0e\U0001f600"
    events = await driver.stream(None, "echo", {"x": given})
    assert events[-1].data["x"] == given.replace("\0", "\ufffd") + "!"


async def test_heartbeats_while_nothing_happens(driver: Driver, gate: Gate) -> None:
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.http.stream("POST", "/runs/stream", json=body) as response:
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            if received.count(BEAT) == 2:
                gate.open()
    assert received.count(BEAT) >= 2
    assert [event.name for event in parse(received)] == ["metadata", *["updates"] * 3]


async def test_heartbeats_before_the_first_event(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    body = {"assistant_id": "echo", "input": {"x": "a"}}
    async with driver.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            gate.open()
    assert received.startswith(BEAT)
    assert [event.name for event in parse(received)] == ["metadata", "values", "values"]


@pytest.mark.parametrize("round_", range(5))
async def test_no_event_is_lost_around_a_heartbeat(driver: Driver, gate: Gate, round_: int) -> None:
    """The run ends about when the heartbeat is due (every 0.2 s here)."""
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.streaming("POST", "/runs/stream", json=body) as events:
        await gate.reached()
        await asyncio.sleep(0.18 + 0.005 * round_)
        gate.open()
        assert [event.name async for event in events] == ["metadata", *["updates"] * 3]


async def test_events_arrive_as_they_happen(driver: Driver, gate: Gate) -> None:
    body = {"assistant_id": "gated", "input": gate.state, "stream_mode": "updates"}
    async with driver.streaming("POST", "/runs/stream", json=body) as events:
        assert (await anext(events)).name == "metadata"
        assert (await anext(events)).data == {"first": {"log": ["first"]}}
        gate.open()
        assert (await anext(events)).data == {"gate": {"log": ["gate"]}}


async def test_a_stream_of_many_events_is_complete_and_in_order(driver: Driver) -> None:
    events = await driver.stream(None, "flooding", {"x": [2000, 200]}, stream_mode="custom")
    assert [event.data["number"] for event in events[1:]] == list(range(2000))
