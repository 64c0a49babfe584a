"""The events of a thread across its runs (spec 9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.driver import Driver
from tests.gate import Gate
from tests.sse import SseEvent, names


async def until_done(events: AsyncIterator[SseEvent], runs: int = 1) -> list[SseEvent]:
    """Events up to the end of the given number of runs."""
    seen = []
    async for event in events:
        seen.append(event)
        if event.name == "metadata" and event.data.get("status") == "run_done":
            runs -= 1
            if runs == 0:
                return seen
    raise AssertionError("the stream ended by itself")


def position(event: SseEvent) -> tuple[int, ...]:
    assert event.id is not None
    return tuple(int(part) for part in event.id.split("-"))


async def test_all_runs_current_and_future(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    first = await driver.start(thread, "gated", gate.state, stream_mode="updates")
    await gate.reached()
    async with driver.streaming("GET", f"/threads/{thread}/stream") as events:
        gate.open()
        current = await until_done(events)
        second = await driver.start(thread, "echo", {"x": "a"})
        future = await until_done(events)
    assert [next(iter(event.data)) for event in current[:-1]] == ["gate", "last"]
    assert current[-1].data == {"status": "run_done", "run_id": first["run_id"]}
    assert names(future) == ["metadata", "values", "values", "metadata"]
    assert future[0].data == {"run_id": second["run_id"], "attempt": 1}
    assert future[-1].data == {"status": "run_done", "run_id": second["run_id"]}


async def test_every_event_has_an_id_and_they_increase(driver: Driver) -> None:
    thread = await driver.thread()
    async with driver.streaming("GET", f"/threads/{thread}/stream") as events:
        for resumable in (False, True):
            await driver.start(thread, "flooding", {"x": [50, 1]}, stream_mode="custom", stream_resumable=resumable)
        seen = await until_done(events, 2)
    positions = [position(event) for event in seen]
    assert positions == sorted(set(positions))
    assert len(positions) == 2 * 52


async def after_edits_and_a_run(driver: Driver, params: Any, count: int) -> list[SseEvent]:
    """The first `count` events of a state edit, a run, and another state edit."""
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "a"})
    seen: list[SseEvent] = []
    async with driver.streaming("GET", f"/threads/{thread}/stream", params=params) as events:
        for x in ("edited", None, "edited again"):
            if x is None:
                await driver.wait(thread, "echo", {"x": "b"})
            else:
                edit = await driver.http.post(f"/threads/{thread}/state", json={"values": {"x": x}})
                assert edit.status_code == 200
        async for event in events:
            seen.append(event)
            if len(seen) == count:
                return seen
    raise AssertionError(f"the stream ended by itself after {names(seen)}")


EVERYTHING = ["state_update", "metadata", "values", "values", "metadata", "state_update"]
MODES: list[tuple[Any, list[str]]] = [
    (None, ["metadata", "values", "values", "metadata"]),
    ({"stream_modes": "run_modes"}, ["metadata", "values", "values", "metadata"]),
    ({"stream_modes": "lifecycle"}, ["metadata", "metadata"]),
    ({"stream_modes": "state_update"}, ["state_update", "state_update"]),
    ({"stream_modes": "lifecycle,state_update"}, ["state_update", "metadata", "metadata", "state_update"]),
    ({"stream_modes": "run_modes, state_update"}, EVERYTHING),
    ({"stream_modes": '["run_modes", "state_update"]'}, EVERYTHING),
    ([("stream_mode", "run_modes"), ("stream_mode", "state_update")], EVERYTHING),
    ([("stream_modes", "lifecycle"), ("stream_mode", "lifecycle")], ["metadata", "metadata"]),
]


@pytest.mark.parametrize(("params", "expected"), MODES)
async def test_modes(driver: Driver, params: Any, expected: list[str]) -> None:
    assert names(await after_edits_and_a_run(driver, params, len(expected))) == expected


@pytest.mark.parametrize("mode", ["values", "updates", "lifecycle,nope", "[1]", '["nope"]'])
@pytest.mark.parametrize("name", ["stream_modes", "stream_mode"])
async def test_unknown_modes_are_refused(driver: Driver, name: str, mode: str) -> None:
    response = await driver.http.get(f"/threads/{await driver.thread()}/stream", params={name: mode})
    assert response.status_code == 422


async def test_a_state_update_shows_the_state(driver: Driver) -> None:
    first, second = await after_edits_and_a_run(driver, {"stream_modes": "state_update"}, 2)
    assert set(first.data) == {"state", "thread_id"}
    assert first.data["state"]["values"]["x"] == "edited"
    assert second.data["state"]["values"]["x"] == "edited again"
    assert first.data["state"]["checkpoint"]["thread_id"] == first.data["thread_id"]


@pytest.mark.parametrize("last_event_id", ["x", "1-2-3", "-5", "1.5", "1-x", "**"])
async def test_a_bad_last_event_id_is_refused(driver: Driver, last_event_id: str) -> None:
    thread = await driver.thread()
    response = await driver.http.get(f"/threads/{thread}/stream", headers={"Last-Event-ID": last_event_id})
    assert response.status_code == 422


async def replayed(driver: Driver, thread: str, last_event_id: str, count: int) -> list[SseEvent]:
    """The first `count` events after an id."""
    seen: list[SseEvent] = []
    async with driver.streaming("GET", f"/threads/{thread}/stream", headers={"Last-Event-ID": last_event_id}) as events:
        while len(seen) < count:
            seen.append(await anext(events))
    return seen


async def test_replay(driver: Driver) -> None:
    thread = await driver.thread()
    stored = []
    for n in range(3):
        stored += await driver.stream(thread, "echo", {"x": str(n)}, stream_resumable=n != 1)
    stored = [event for event in stored if event.id is not None]
    for start in ("-", "0", "0-0", "1000"):
        assert await replayed(driver, thread, start, 6) == stored
    middle = stored[2]
    assert middle.id is not None
    assert await replayed(driver, thread, middle.id, 3) == stored[3:]
    milliseconds = middle.id.split("-")[0]
    later = [event for event in stored if position(event)[0] > int(milliseconds)]
    assert later
    assert await replayed(driver, thread, f"{milliseconds}-*", len(later)) == later
    assert await replayed(driver, thread, milliseconds, len(later)) == later


async def test_replay_goes_over_into_live(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state, stream_mode="updates", stream_resumable=True)
    await gate.reached()
    async with driver.streaming("GET", f"/threads/{thread}/stream", headers={"Last-Event-ID": "-"}) as events:
        gate.open()
        seen = await until_done(events)
    assert names(seen) == ["metadata", "updates", "updates", "updates", "metadata"]


async def test_without_an_id_nothing_is_replayed(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.stream(thread, "echo", {"x": "old"}, stream_resumable=True)
    async with driver.streaming("GET", f"/threads/{thread}/stream") as events:
        run = await driver.start(thread, "echo", {"x": "new"})
        assert (await anext(events)).data == {"run_id": run["run_id"], "attempt": 1}


async def test_an_unknown_thread_is_not_found(driver: Driver) -> None:
    assert (await driver.http.get(f"/threads/{driver.new_id()}/stream")).status_code == 404
    assert (await driver.http.get("/threads/x/stream")).status_code == 422


async def test_heartbeats(driver: Driver) -> None:
    thread = await driver.thread()
    received = b""
    async with driver.http.stream("GET", f"/threads/{thread}/stream") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        async for piece in response.aiter_raw():
            received += piece
            if received.count(b": heartbeat\r\n\r\n") == 2:
                break
    assert received == b": heartbeat\r\n\r\n" * 2


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_the_end_of_a_cancelled_run_is_told(driver: Driver, gate: Gate, action: str) -> None:
    thread = await driver.thread()
    async with driver.streaming("GET", f"/threads/{thread}/stream", params={"stream_modes": "lifecycle"}) as events:
        run = await driver.start(thread, "gated", gate.state)
        await gate.reached()
        await driver.cancel(thread, run["run_id"], action=action)
        seen = await until_done(events)
    assert [event.data["run_id"] for event in seen] == [run["run_id"]] * 2


async def test_deleting_a_finished_run_is_not_its_end(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {"x": "a"})
    (old,) = await driver.runs(thread)
    async with driver.streaming("GET", f"/threads/{thread}/stream", params={"stream_modes": "lifecycle"}) as events:
        assert (await driver.http.delete(f"/threads/{thread}/runs/{old['run_id']}")).status_code == 204
        new = await driver.start(thread, "echo", {"x": "b"})
        seen = await until_done(events)
    assert {event.data["run_id"] for event in seen} == {new["run_id"]}


async def test_other_threads_are_not_heard(driver: Driver) -> None:
    mine, other = await driver.thread(), await driver.thread()
    async with driver.streaming("GET", f"/threads/{mine}/stream") as events:
        await driver.wait(other, "echo", {"x": "other"})
        run = await driver.start(mine, "echo", {"x": "mine"})
        seen = await until_done(events)
    assert seen[0].data["run_id"] == run["run_id"]
    assert "other" not in str([event.data for event in seen])
