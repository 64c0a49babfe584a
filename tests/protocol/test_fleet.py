"""Several processes on PostgreSQL and Redis: each tells the same of a thread, whoever executes its runs."""

from __future__ import annotations

import asyncio

from tests.bus.fleet import Fleet
from tests.protocol.client import Client, kinds, of, taken

SPEAK = {"messages": [{"role": "user", "content": "12"}]}


async def test_every_process_tells_the_same(fleet: Fleet) -> None:
    one, other = fleet.start("api"), fleet.start("api")
    fleet.worker()
    async with fleet.driver(one) as here, fleet.driver(other) as there:
        first = Client(here.http, here.new_id())
        second = Client(there.http, first.thread_id)
        async with first.events() as near, second.events() as far:
            await first.run("slow_chat", SPEAK)
            seen_here, seen_there = await asyncio.gather(taken(near), taken(far))
            assert kinds(seen_here) == ["running", "completed"]
            assert seen_here == seen_there
            assert await second.until(since=seen_here[4]["seq"]) == seen_here[5:]
        with fleet.serving("api") as new:
            async with fleet.driver(new) as later:
                assert await Client(later.http, first.thread_id).until() == seen_here


async def test_an_interrupt_is_answered_through_another_process(fleet: Fleet) -> None:
    one, other = fleet.start("api"), fleet.start("api")
    fleet.worker()
    async with fleet.driver(one) as here, fleet.driver(other) as there:
        first = Client(here.http, here.new_id())
        second = Client(there.http, first.thread_id)
        async with first.events() as events:
            await second.run("hitl", {"x": "a"})
            [asked] = of(await taken(events, lambda event: event["method"] == "input.requested"), "input.requested")
            await second.done("input.respond", interrupt_id=asked["interrupt_id"], response="yes")
            assert kinds(await taken(events)) == ["interrupted"]
            assert of(await taken(events), "values")[-1]["x"] == "yes!"
