"""Events that come again: the same, with the same ids, from any place on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson

from tests.conftest import connected, served
from tests.driver import Driver
from tests.protocol.client import Client, ended, kinds, of, taken


async def test_since_leaves_out_what_the_client_has(client: Client) -> None:
    async with client.events() as events:
        await client.run("nested", {"x": "a"})
        live = await taken(events)
    for index in (0, 1, len(live) // 2, len(live) - 2):
        assert await client.until(since=live[index]["seq"]) == live[index + 1 :]
    assert await client.until(since=0) == live


async def test_since_under_a_filter(client: Client) -> None:
    await client.run("chat", {"messages": [{"role": "user", "content": "30"}]})
    messages = await client.until(channels=["messages", "lifecycle"])
    assert await client.until(channels=["messages", "lifecycle"], since=messages[7]["seq"]) == messages[8:]


async def test_a_client_that_comes_in_the_middle_sees_the_whole(client: Client) -> None:
    async with client.events() as events:
        await client.run("slow_chat", {"messages": [{"role": "user", "content": "20"}]})
        before = await taken(events, lambda event: "delta" in event["params"]["data"])
        late = asyncio.create_task(client.until())
        whole = before + await taken(events)
    assert await late == whole


async def test_a_restarted_server_tells_the_same(tmp_path: Path) -> None:
    thread_id = Driver.new_id()

    async def told() -> list[dict[str, object]]:
        async with served(tmp_path) as app, connected(app) as http:
            client = Client(http, thread_id)
            if not (await http.get(f"/threads/{thread_id}")).is_success:
                await client.run("nested_hitl", {"x": "a"})
                await Driver(http).settled(thread_id)
            with app.state.server.sessions.reading(thread_id) as session:
                await session.ready.wait()
                return [orjson.loads(frame.envelope) for frame in session.frames]

    first = await told()
    assert kinds(first) == ["running", "interrupted"]
    assert await told() == first


async def test_an_edit_of_the_state_is_told(client: Client, driver: Driver) -> None:
    await client.run("echo", {"x": "a"})
    await client.until()
    async with client.events(["values"]) as events:
        await taken(events, lambda event: event["params"]["data"].get("x") == "a!")
        edit = await driver.http.post(f"/threads/{client.thread_id}/state", json={"values": {"x": "edited"}})
        assert edit.is_success, edit.text
        [event] = await taken(events, lambda event: True)
    assert of([event], "values")[0]["x"] == "edited"
    assert not ended(event)
