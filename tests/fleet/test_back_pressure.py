"""A full queue: every route that creates runs says so, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import connected, served
from tests.driver import Driver, eventually
from tests.gate import Gate

LIMIT = 2

RUN = {"assistant_id": "echo", "input": {"log": []}}


@pytest.fixture
async def full(tmp_path: Path, gate: Gate) -> AsyncIterator[Driver]:
    """A server that executes one run and has as many pending as it takes."""
    async with served(tmp_path, jobs_per_worker=1, max_pending_runs=LIMIT) as app, connected(app) as http:
        driver = Driver(http)
        await driver.start(await driver.thread(), "gated", gate.state)
        await gate.reached()
        for _ in range(LIMIT):
            await driver.start(await driver.thread(), "gated", gate.state)
        yield driver


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads/{thread}/runs", RUN),
        ("/threads/{thread}/runs/wait", RUN),
        ("/threads/{thread}/runs/stream", RUN),
        ("/threads/{new}/runs", {**RUN, "if_not_exists": "create"}),
        ("/threads/{thread}/runs", {**RUN, "after_seconds": 60}),
        ("/runs", RUN),
        ("/runs/wait", RUN),
        ("/runs/stream", RUN),
        ("/runs/batch", [RUN, RUN]),
    ],
)
async def test_no_route_creates_a_run(full: Driver, path: str, body: Any) -> None:
    thread, new = await full.thread(), Driver.new_id()
    before = await _counts(full.http)
    response = await full.http.post(path.format(thread=thread, new=new), json=body)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert f"{LIMIT} runs are pending" in response.json()["detail"]
    assert await _counts(full.http) == before
    assert (await full.show(thread))["status"] == "idle"
    assert "waystation_refused_runs_total 0.0" not in (await full.http.get("/metrics")).text


async def _counts(http: httpx.AsyncClient) -> tuple[int, int]:
    """How many threads there are, and how many of them are busy."""
    threads = (await http.post("/threads/search", json={"limit": 1000})).json()
    return len(threads), sum(thread["status"] == "busy" for thread in threads)


async def test_runs_are_created_again_once_there_is_room(full: Driver, gate: Gate) -> None:
    gate.open()

    async def accepted() -> bool:
        return (await full.http.post("/runs/wait", json=RUN)).status_code == 200

    await eventually(accepted, "a run being accepted")


async def test_a_batch_that_never_fits_is_a_mistake(full: Driver) -> None:
    response = await full.http.post("/runs/batch", json=[RUN] * (LIMIT + 1))
    assert response.status_code == 400
    assert "3 runs at once" in response.json()["detail"]


async def test_a_free_worker_takes_any_number_one_after_the_other(tmp_path: Path) -> None:
    async with served(tmp_path, max_pending_runs=1) as app, connected(app) as http:
        for _ in range(10):
            await Driver(http).wait(None, "echo", {"log": []})
