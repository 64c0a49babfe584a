"""Two servers on one machine, each with a data directory of its own: neither notices the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.chaos.cluster import PROJECT
from tests.driver import Driver
from tests.processes import ServerProcess, running_server


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(running_server(tmp_path / name, config=PROJECT, environ={"CHAOS_PAUSE_S": "0.02"}))
            for name in ("one", "two")
        ]


@pytest.fixture
async def drivers(servers: list[ServerProcess]) -> AsyncIterator[list[Driver]]:
    async with (
        httpx.AsyncClient(base_url=servers[0].url, timeout=30, verify=False) as one,
        httpx.AsyncClient(base_url=servers[1].url, timeout=30, verify=False) as two,
    ):
        yield [Driver(one), Driver(two)]


async def test_each_has_its_own(servers: list[ServerProcess], drivers: list[Driver]) -> None:
    one, two = drivers
    thread = Driver.new_id()
    for number, driver in enumerate(drivers):
        await driver.thread(thread_id=thread, metadata={"server": number})
        await driver.http.put("/store/items", json={"namespace": ["a"], "key": "k", "value": {"server": number}})

    async def work(driver: Driver, name: str) -> None:
        for number in range(3):
            await driver.wait(thread, "stepping", {"tag": f"{name}{number}"})

    await asyncio.gather(work(one, "one"), work(two, "two"))
    for number, (driver, name) in enumerate(zip(drivers, ("one", "two"), strict=True)):
        shown = await driver.show(thread)
        assert shown["metadata"]["server"] == number
        assert [line.split(":")[0] for line in shown["values"]["log"][::10]] == [f"{name}{n}" for n in range(3)]
        assert len(await driver.runs(thread)) == 3
        item = (await driver.http.get("/store/items", params={"namespace": "a", "key": "k"})).json()
        assert item["value"] == {"server": number}


async def test_one_goes_on_when_the_other_is_killed(servers: list[ServerProcess], drivers: list[Driver]) -> None:
    one, two = drivers
    threads = [await driver.thread() for driver in drivers]
    runs = [
        await driver.start(thread, "stepping", {"tag": "r"}) for driver, thread in zip(drivers, threads, strict=True)
    ]
    await asyncio.to_thread(servers[0].kill)
    assert len((await two.join(threads[1], runs[1]["run_id"]))["log"]) == 10
    assert (await two.http.get(f"/threads/{threads[0]}")).status_code == 404
    await asyncio.to_thread(servers[0].start)
    assert len((await one.join(threads[0], runs[0]["run_id"]))["log"]) == 10
    assert (await two.run(threads[1], runs[1]["run_id"]))["status"] == "success"
