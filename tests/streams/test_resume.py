"""Resuming a stream: stored events, their ids, and what follows them (spec 8.6)."""

from __future__ import annotations

import asyncio

import pytest

from tests.driver import Driver
from tests.gate import Gate
from tests.sse import SseEvent, names


def position(event: SseEvent) -> tuple[int, int]:
    assert event.id is not None
    milliseconds, counter = event.id.split("-")
    return int(milliseconds), int(counter)


async def finished(driver: Driver, count: int = 20) -> tuple[str, str, list[SseEvent]]:
    """A resumable run that is over: thread, run, and what its own client received."""
    thread = await driver.thread()
    events = await driver.stream(
        thread, "flooding", {"x": [count, 1]}, stream_mode=["custom", "values"], stream_resumable=True
    )
    (run,) = await driver.runs(thread)
    return thread, run["run_id"], events


async def test_only_resumable_streams_have_ids(driver: Driver) -> None:
    plain = await driver.stream(None, "echo", {"x": "a"})
    assert {event.id for event in plain} == {None}
    resumable = await driver.stream(None, "echo", {"x": "a"}, stream_resumable=True)
    assert None not in {event.id for event in resumable}


async def test_ids_are_unique_and_increase(driver: Driver) -> None:
    """Also when many events share a millisecond."""
    _, _, events = await finished(driver, count=1000)
    positions = [position(event) for event in events]
    assert positions == sorted(set(positions))
    assert len({milliseconds for milliseconds, _ in positions}) < len(positions)


async def test_ids_increase_across_runs_of_a_thread(driver: Driver) -> None:
    thread = await driver.thread()
    events = []
    for _ in range(3):
        events += await driver.stream(thread, "echo", {"x": "a"}, stream_resumable=True)
    positions = [position(event) for event in events]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("start", ["-1", "-", "0-0"])
async def test_everything_from_the_start(driver: Driver, start: str) -> None:
    thread, run, events = await finished(driver)
    assert await driver.rejoin(thread, run, start) == events


async def test_everything_after_an_id(driver: Driver) -> None:
    thread, run, events = await finished(driver)
    for index in (0, 7, len(events) - 2, len(events) - 1):
        assert await driver.rejoin(thread, run, events[index].id) == events[index + 1 :]


async def test_many_pages(driver: Driver) -> None:
    thread, run, events = await finished(driver, count=1300)
    assert await driver.rejoin(thread, run, "-1") == events
    assert await driver.rejoin(thread, run, events[600].id) == events[601:]


@pytest.mark.parametrize("start", ["x", "1.5", "abc-1", "99999999999999999", "", "-2"])
async def test_an_id_that_cannot_be_read_replays_nothing(driver: Driver, start: str) -> None:
    thread, run, _ = await finished(driver)
    assert await driver.rejoin(thread, run, start) == []


async def test_without_an_id_nothing_is_replayed(driver: Driver) -> None:
    thread, run, _ = await finished(driver)
    assert await driver.rejoin(thread, run) == []


async def test_what_is_not_resumable_is_not_replayed(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.stream(thread, "echo", {"x": "a"})
    (run,) = await driver.runs(thread)
    assert await driver.rejoin(thread, run["run_id"], "-1") == []


async def test_a_replay_holds_only_its_run(driver: Driver) -> None:
    thread, run, events = await finished(driver)
    await driver.stream(thread, "echo", {"x": "other"}, stream_resumable=True)
    assert await driver.rejoin(thread, run, "-1") == events


async def test_a_background_run_is_replayed_too(driver: Driver) -> None:
    """Nobody was listening."""
    thread = await driver.thread()
    run = await driver.start(thread, "echo", {"x": "a"}, stream_resumable=True)
    await driver.settled(thread)
    assert names(await driver.rejoin(thread, run["run_id"], "-1")) == ["metadata", "values", "values"]


async def test_only_requested_modes_are_stored(driver: Driver) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "custom", {"x": "a"}, stream_resumable=True, stream_mode="updates")
    await driver.settled(thread)
    assert names(await driver.rejoin(thread, run["run_id"], "-1")) == ["metadata", "updates"]


async def test_replay_goes_over_into_live_without_a_gap(driver: Driver, gate: Gate) -> None:
    """Clients come at any moment while the run writes; each sees every event once."""
    thread = await driver.thread()
    run = await driver.start(thread, "ticking", gate.state, stream_resumable=True, stream_mode="custom")
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"

    async def follow(delay: float) -> list[SseEvent]:
        await asyncio.sleep(delay)
        async with driver.streaming("GET", path, headers={"Last-Event-ID": "-1"}) as events:
            return [event async for event in events]

    followers = [asyncio.create_task(follow(0.03 * n)) for n in range(8)]
    await asyncio.sleep(0.35)
    gate.open()
    logs = await asyncio.gather(*followers)
    for log in logs:
        assert log == logs[0]
    ticks = [event.data["tick"] for event in logs[0] if event.name == "custom"]
    assert ticks == list(range(len(ticks)))
    assert len(ticks) > 10


async def test_a_client_that_reconnects_again_and_again_misses_nothing(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "ticking", gate.state, stream_resumable=True, stream_mode="custom")
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"
    seen: list[SseEvent] = []
    for reconnect in range(12):
        if reconnect == 11:
            gate.open()
        headers = {"Last-Event-ID": seen[-1].id or "" if seen else "-1"}
        async with driver.streaming("GET", path, headers=headers) as events:
            async for event in events:
                seen.append(event)
                if reconnect < 11 and len(seen) % 7 == 0:
                    break
    ticks = [event.data["tick"] for event in seen if event.name == "custom"]
    assert ticks == list(range(len(ticks)))
    assert (await driver.settled(thread))["values"]["log"] == [f"{len(ticks)} ticks"]


async def test_an_id_from_the_future_replays_nothing_and_then_goes_on_live(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state, stream_resumable=True, stream_mode="updates")
    await gate.reached()
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"
    async with driver.streaming("GET", path, headers={"Last-Event-ID": "-1"}) as events:
        # The graph may be ahead of its events: another thread stores them.
        assert [(await anext(events)).name for _ in range(2)] == ["metadata", "updates"]
    async with driver.streaming("GET", path, headers={"Last-Event-ID": "9999999999999-0"}) as events:
        await asyncio.sleep(0.1)
        gate.open()
        assert [next(iter(event.data)) async for event in events] == ["gate", "last"]
