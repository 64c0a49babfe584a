"""Joining the stream of a run, with filters (spec 8.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.driver import Driver, eventually
from tests.gate import Gate
from tests.live import LiveServer
from tests.sse import SseEvent, names

NOT_FOUND = {"error": "HTTPException", "message": "404: Run not found"}


async def joined(
    driver: Driver, live_server: LiveServer, gate: Gate, params: Any = None, **fields: Any
) -> list[SseEvent]:
    """What a client gets that joins while the run waits at the gate."""
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state, **fields)
    await gate.reached()
    bus = live_server.app.state.server.bus
    before = bus.subscribers
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"
    async with driver.streaming("GET", path, params=params) as events:

        async def listening() -> bool:
            return bool(bus.subscribers > before)

        await eventually(listening, "the subscription")
        gate.open()
        return [event async for event in events]


async def test_live_events_from_now_on(driver: Driver, live_server: LiveServer, gate: Gate) -> None:
    events = await joined(driver, live_server, gate, stream_mode=["updates"])
    assert [event.data for event in events] == [{"gate": {"log": ["gate"]}}, {"last": {"log": ["last"]}}]
    assert {event.id for event in events} == {None}


FILTERS: list[tuple[Any, set[str]]] = [
    (None, {"values", "updates", "tasks", "debug"}),
    ({"stream_mode": ""}, {"values", "updates", "tasks", "debug"}),
    ({"stream_mode": "values"}, {"values"}),
    ([("stream_mode", "values"), ("stream_mode", "updates")], {"values", "updates"}),
    ({"stream_mode": '["values", "tasks"]'}, {"values", "tasks"}),
    ([("stream_mode", '["values"]'), ("stream_mode", "debug")], {"values", "debug"}),
    ({"stream_mode": "messages"}, set()),
    ({"stream_mode": "custom"}, set()),
]


@pytest.mark.parametrize(("params", "expected"), FILTERS)
async def test_filters(driver: Driver, live_server: LiveServer, gate: Gate, params: Any, expected: set[str]) -> None:
    modes = ["values", "updates", "tasks", "debug"]
    assert set(names(await joined(driver, live_server, gate, params, stream_mode=modes))) == expected


@pytest.mark.parametrize("mode", ["tools", "lifecycle", '["values", "nope"]', "[1", "[1]"])
async def test_unknown_filters_are_refused(driver: Driver, mode: str) -> None:
    path = f"/threads/{driver.new_id()}/runs/{driver.new_id()}/stream"
    assert (await driver.http.get(path, params={"stream_mode": mode})).status_code == 422


async def resumable(driver: Driver, graph: str, given: Any, **fields: Any) -> tuple[str, str]:
    """A resumable run that is over: thread and run."""
    thread = await driver.thread()
    run = await driver.start(thread, graph, given, stream_resumable=True, **fields)
    await driver.settled(thread)
    return thread, run["run_id"]


@pytest.mark.parametrize("mode", ["messages", "messages-tuple"])
async def test_either_name_of_messages_matches_both_forms(driver: Driver, mode: str) -> None:
    hello = {"messages": [{"role": "user", "content": "2"}]}
    for requested, expected in (
        ("messages", {"messages/metadata", "messages/partial"}),
        ("messages-tuple", {"messages"}),
    ):
        run = await resumable(driver, "chat", hello, stream_mode=[requested, "values"])
        assert set(names(await driver.rejoin(*run, "-1", {"stream_mode": mode}))) == expected


async def test_a_filter_matches_events_of_subgraphs(driver: Driver) -> None:
    run = await resumable(driver, "nested", {"x": "a"}, stream_mode=["values", "updates"], stream_subgraphs=True)
    events = await driver.rejoin(*run, "-1", {"stream_mode": "updates"})
    assert {event.name.split("|")[0] for event in events} == {"updates"}
    assert any("|" in event.name for event in events)


async def test_a_filter_hides_metadata_and_errors(driver: Driver) -> None:
    run = await resumable(driver, "raiser", {"x": "value"}, stream_mode=["values", "updates"])
    assert set(names(await driver.rejoin(*run, "-1", {"stream_mode": "updates"}))) == {"updates"}


@pytest.mark.parametrize("graph", ["echo", "raiser"])
async def test_a_finished_run_gives_nothing(driver: Driver, graph: str) -> None:
    thread = await driver.thread()
    await driver.wait(thread, graph, {"x": "value"})
    (run,) = await driver.runs(thread)
    response = await driver.http.get(f"/threads/{thread}/runs/{run['run_id']}/stream")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_headers(driver: Driver) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "echo", {"x": "a"})
    path = f"/threads/{thread}/runs/{run['run_id']}"
    response = await driver.http.get(f"{path}/stream")
    assert response.headers["content-location"] == path
    assert response.headers["location"] == f"{path}/stream"


async def test_a_missing_run_is_told_of_in_the_stream(driver: Driver) -> None:
    mine, other = await driver.thread(), await driver.thread()
    run = (await driver.start(mine, "echo", {"x": "a"}))["run_id"]
    await driver.settled(mine)
    for thread, of_run in ((mine, driver.new_id()), (other, run), (driver.new_id(), run)):
        (event,) = await driver.rejoin(thread, of_run)
        assert (event.name, event.data) == ("error", NOT_FOUND)
    for path in (f"/threads/x/runs/{run}/stream", f"/threads/{mine}/runs/x/stream", "/runs/x/stream"):
        assert (await driver.http.get(path)).status_code == 422


async def test_a_queued_run_can_be_joined_before_it_starts(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    queued = await driver.start(thread, "echo", {"x": "a"})
    async with driver.streaming("GET", f"/threads/{thread}/runs/{queued['run_id']}/stream") as events:
        gate.open()
        assert [event.name async for event in events] == ["metadata", "values", "values"]


async def test_events_of_other_runs_of_the_thread_are_not_seen(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    first = await driver.start(thread, "gated", gate.state, stream_mode="updates")
    await driver.start(thread, "echo", {"x": "a"}, stream_mode="updates")
    async with driver.streaming("GET", f"/threads/{thread}/runs/{first['run_id']}/stream") as events:
        gate.open()
        seen = [event async for event in events]
    assert "echo" not in json.dumps([event.data for event in seen])


async def test_many_listeners_get_the_same(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    queued = await driver.start(thread, "echo", {"x": "a"}, stream_mode=["values", "updates"])
    path = f"/threads/{thread}/runs/{queued['run_id']}/stream"
    async with driver.streaming("GET", path) as one, driver.streaming("GET", path) as two:
        gate.open()
        first, second = [event async for event in one], [event async for event in two]
    assert first == second
    assert names(first) == ["metadata", "values", "updates", "values"]


# --- without a thread


async def test_a_stateless_run_is_joined_by_its_location(driver: Driver, gate: Gate) -> None:
    body = {"assistant_id": "gated", "input": gate.state, "stream_resumable": True, "stream_mode": "updates"}
    async with driver.http.stream("POST", "/runs/stream", json=body) as response:
        location = response.headers["location"]
        await gate.reached()
    assert location.startswith("/runs/")
    async with driver.streaming("GET", location, headers={"Last-Event-ID": "-1"}) as events:
        assert (await anext(events)).name == "metadata"
        assert (await anext(events)).data == {"first": {"log": ["first"]}}
        gate.open()
        assert [event.name async for event in events] == ["updates", "updates"]


async def test_a_stateless_run_that_is_gone(driver: Driver) -> None:
    response = await driver.http.post("/runs/stream", json={"assistant_id": "echo", "input": {"x": "a"}})
    again = await driver.http.get(response.headers["location"])
    assert again.status_code == 200
    assert b"404: Run not found" in again.content


async def test_a_run_of_a_named_thread_is_found_by_its_id_alone(driver: Driver) -> None:
    thread, run = await resumable(driver, "echo", {"x": "a"})
    response = await driver.http.get(f"/runs/{run}/stream", headers={"Last-Event-ID": "-1"})
    assert response.headers["content-location"] == f"/threads/{thread}/runs/{run}"
    assert response.content.startswith(b"event: metadata")
