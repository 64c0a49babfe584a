"""The queue: order, the limit of jobs, and never two runs of one thread (spec 6.1)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from tests.conftest import connected, served
from tests.driver import Driver, eventually
from tests.gate import Gate
from waystation.auth.access import EVERYTHING
from waystation.runs.models import RunCreateStateful
from waystation.runs.order import order_from

THREADS = 10
RUNS = 200


async def test_many_runs_on_few_threads(tmp_path: Path) -> None:
    """All succeed, each thread's in the order they were created, never two of a thread at a time."""
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        threads = [await driver.thread() for _ in range(THREADS)]
        overlaps: list[int] = []
        done = asyncio.Event()

        def most_running(conn: Connection) -> int:
            rows = conn.execute(text("SELECT count(*) FROM runs WHERE worker_id IS NOT NULL GROUP BY thread_id"))
            return max((row[0] for row in rows), default=0)

        async def observe() -> None:
            while not done.is_set():
                overlaps.append(await app.state.server.db.read(most_running))
                await asyncio.sleep(0.002)

        observer = asyncio.create_task(observe())
        created = await asyncio.gather(
            *(driver.start(threads[n % THREADS], "echo", {"x": str(n), "log": [str(n)]}) for n in range(RUNS))
        )
        for thread in threads:
            assert (await driver.settled(thread))["status"] == "idle"
        done.set()
        await observer
        assert max(overlaps) == 1
        for thread in threads:
            runs = await driver.runs(thread)
            assert Counter(run["status"] for run in runs) == {"success": RUNS // THREADS}
            shown = await driver.show(thread)
            order = [run["kwargs"]["input"]["x"] for run in runs]
            assert shown["values"]["log"] == order
            assert shown["values"]["n"] == RUNS // THREADS
        assert len({run["run_id"] for run in created}) == RUNS


async def test_runs_of_a_thread_run_in_the_order_of_creation(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    for n in range(10):
        await driver.start(thread, "echo", {"log": [str(n)]})
    gate.open()
    assert (await driver.settled(thread))["values"]["log"][3:] == [str(n) for n in range(10)]


@pytest.mark.parametrize("jobs", [1, 3])
async def test_no_more_runs_at_once_than_allowed(tmp_path: Path, gates: Callable[[], Gate], jobs: int) -> None:
    async with served(tmp_path, jobs_per_worker=jobs) as app, connected(app) as client:
        driver = Driver(client)
        made = [gates() for _ in range(jobs + 3)]
        runs = []
        for gate in made:
            thread = await driver.thread()
            runs.append((thread, (await driver.start(thread, "gated", gate.state))["run_id"]))
        for position, gate in enumerate(made):
            await gate.reached()
            statuses = [(await driver.run(*run))["status"] for run in runs]
            running = min(jobs, len(made) - position)
            assert statuses[position : position + running] == ["running"] * running, "the oldest first"
            assert set(statuses[position + running :]) <= {"pending"}
            gate.open()
            await driver.settled(runs[position][0])
            if position + jobs < len(made):
                await made[position + jobs].reached()


async def test_a_worker_without_jobs_runs_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, jobs_per_worker=0) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        await driver.start(thread, "echo", {"x": "a"})
        await asyncio.sleep(0.1)
        assert await driver.statuses(thread) == ["pending"]
        assert (await driver.show(thread))["status"] == "busy"


async def test_a_full_worker_takes_up_what_waits_as_soon_as_it_can(tmp_path: Path, gates: Callable[[], Gate]) -> None:
    """Also when the slot is freed by a cancellation, or by a run that fails."""
    async with served(tmp_path, jobs_per_worker=1) as app, connected(app) as client:
        driver = Driver(client)
        for how in ("finishes", "is cancelled", "is deleted"):
            gate = gates()
            thread, waiting = await driver.thread(), await driver.thread()
            first = await driver.start(thread, "gated", gate.state)
            await gate.reached()
            await driver.start(waiting, "raiser", {"x": "value"})
            await driver.start(waiting, "echo", {"x": how})
            if how == "finishes":
                gate.open()
            elif how == "is cancelled":
                await driver.cancel(thread, first["run_id"])
            else:
                await driver.http.delete(f"/threads/{thread}/runs/{first['run_id']}")
            assert (await driver.settled(waiting))["values"]["x"] == f"{how}!"


async def test_queue_figures(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, jobs_per_worker=1) as app, connected(app) as client:
        driver, engine = Driver(client), app.state.server.engine
        empty = await engine.queue_figures()
        assert (empty.pending, empty.running, empty.wait_max_s, empty.unblocked_pending) == (0, 0, 0, 0)
        thread, other = await driver.thread(), await driver.thread()
        await driver.start(thread, "gated", gate.state)
        await gate.reached()
        await driver.start(thread, "echo", {})
        await driver.start(thread, "echo", {})
        await driver.start(other, "echo", {})
        await driver.start(await driver.thread(), "echo", {}, after_seconds=60)
        full = await engine.queue_figures()
        assert (full.pending, full.running, full.unblocked_pending) == (3, 1, 1)
        assert full.wait_max_s >= full.wait_med_s > 0
        workers = engine.worker_figures()
        assert (workers.max, workers.active, workers.available) == (1, 1, 0)
        gate.open()
        await driver.settled(thread)
        await driver.settled(other)

        async def free() -> bool:
            return bool(engine.worker_figures().available == 1)

        await eventually(free, "the worker being free")


async def test_a_cancelled_creation_leaves_no_run_behind_that_nobody_executes(tmp_path: Path) -> None:
    """The request's task may be cancelled while its run is being committed."""
    async with served(tmp_path) as app, connected(app) as client:
        driver, engine = Driver(client), app.state.server.engine
        for delay in (0, 0.0005, 0.001, 0.002):
            thread = await driver.thread()
            order = order_from(
                RunCreateStateful.model_validate({"assistant_id": "echo", "input": {"x": "a"}}), thread, {}, None
            )
            go_on = threading.Event()
            app.state.server.db.post(lambda _conn, go_on=go_on: go_on.wait(30))  # so that the commit takes its time
            creating = asyncio.create_task(engine.create(EVERYTHING, order))
            await asyncio.sleep(delay)
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
            go_on.set()
            assert (await driver.wait(thread, "echo", {"x": "b"}))["x"] == "b!"
            assert set(await driver.statuses(thread)) == {"success"}

        async def idle() -> bool:
            return bool(engine.worker_figures().available == engine.worker_figures().max)

        await eventually(idle, "every place being free again")
