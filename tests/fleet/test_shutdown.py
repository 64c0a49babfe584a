"""What a stopping server does for those who wait: their runs get the grace period, and nobody takes a cut for a result."""

from __future__ import annotations

import asyncio
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from tests.driver import Driver, eventually
from tests.fleet.stopping import refuses_connections
from tests.gate import Gate
from tests.processes import ServerProcess, running_server
from tests.sse import STOPPING, SseEvent, names

LONG_S = "60"
"""A grace period that no test waits for."""

ALL = ["first", "gate", "last"]


@asynccontextmanager
async def served(data_dir: Path, grace_s: str, **environ: str) -> AsyncIterator[tuple[ServerProcess, Driver]]:
    """A server process on SQLite and a client of it."""
    environ = {"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": grace_s, **environ}
    with running_server(data_dir, environ=environ) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False) as client:
            yield server, Driver(client)


async def left(server: ServerProcess) -> int:
    """The exit code of the server."""
    return await asyncio.to_thread(server.wait)


async def test_requests_that_wait_for_a_run_get_its_result(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, LONG_S, WAYSTATION_HEARTBEAT_SECS="0.1") as (server, driver):
        thread = await driver.thread()
        waiting = asyncio.create_task(driver.wait(thread, "gated", gate.state))
        await gate.reached()
        (run,) = await driver.runs(thread)
        joining = asyncio.create_task(driver.join(thread, run["run_id"]))
        watching = asyncio.create_task(driver.rejoin(thread, run["run_id"]))
        async with driver.streaming("GET", f"/threads/{thread}/stream") as events:
            following = asyncio.create_task(_all(events))
            await asyncio.sleep(0.3)  # let the requests arrive
            server.signal()
            await refuses_connections(server.url)
            gate.open()
            assert (await waiting)["log"] == ALL
            assert (await joining)["log"] == ALL
            assert names(await watching)[-1] == "values"
            assert "run_done" in [event.data.get("status") for event in await following if event.name == "metadata"]
        assert await left(server) == 0


async def _all(events: AsyncIterator[SseEvent]) -> list[SseEvent]:
    return [event async for event in events]


async def test_a_queued_run_does_not_use_up_the_grace_period(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, LONG_S, N_JOBS_PER_WORKER="1") as (server, driver):
        thread = await driver.thread()
        running = asyncio.create_task(driver.wait(thread, "gated", gate.state))
        await gate.reached()
        queued = asyncio.create_task(driver.stream(None, "echo", {"log": []}))
        await _pending(driver, 1)
        server.signal()
        await refuses_connections(server.url)
        gate.open()
        assert (await running)["log"] == ALL
        assert await queued == []
        assert await left(server) == 0


async def _pending(driver: Driver, count: int) -> None:
    async def look() -> bool:
        figures = (await driver.http.get("/metrics", params={"format": "json"})).json()
        return bool(figures["queue"]["n_pending"] == count)

    await eventually(look, f"{count} pending runs")


async def test_a_cut_answer_does_not_look_complete(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, "0.2", WAYSTATION_HEARTBEAT_SECS="0.1") as (server, driver):
        thread = await driver.thread()
        body = {"assistant_id": "gated", "input": gate.state}
        async with driver.http.stream("POST", f"/threads/{thread}/runs/wait", json=body) as answer:
            await gate.reached()
            (run,) = await driver.runs(thread)
            path = f"/threads/{thread}/runs/{run['run_id']}"
            async with driver.http.stream("GET", f"{path}/stream") as stream:
                server.signal()
                assert (await stream.aread()).endswith(STOPPING + b"\r\n\r\n")
            with pytest.raises(httpx.RemoteProtocolError):
                await answer.aread()
            assert answer.headers["location"] == f"{path}/join"
        assert await left(server) == 0
    assert "without completing response" not in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize(("graph", "impatient"), [("gated", False), ("sync_blocker", True)])
async def test_a_run_that_takes_longer_goes_on_in_the_next_process(
    tmp_path: Path, gate: Gate, graph: str, impatient: bool
) -> None:
    """The grace period passes, or a second signal ends it, even with a node that nothing can interrupt."""
    async with served(tmp_path, LONG_S if impatient else "0.2") as (server, driver):
        thread = await driver.thread()
        run = await driver.start(thread, graph, gate.state)
        await gate.reached()
        server.signal()
        if impatient:
            await refuses_connections(server.url)
            server.signal(signal.SIGINT)
        assert await left(server) == 0
        gate.open()
        server.start()
        await driver.reaches(thread, run["run_id"], "success")


Waiting = Callable[[Any, str, dict[str, Any]], Coroutine[Any, Any, Any]]


async def by_wait(client: Any, thread: str, given: dict[str, Any]) -> Any:
    return await client.runs.wait(thread, "gated", input=given)


async def by_stream(client: Any, thread: str, given: dict[str, Any]) -> Any:
    parts = client.runs.stream(thread, "gated", input=given, stream_mode="values", stream_resumable=True)
    return [part.data async for part in parts if part.event == "values"][-1]


@pytest.mark.parametrize("waiting", [by_wait, by_stream])
async def test_the_official_client_does_not_notice_a_restart(tmp_path: Path, gate: Gate, waiting: Waiting) -> None:
    async with served(tmp_path, "0") as (server, driver):
        thread = await driver.thread()
        client = get_client(url=server.url)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Request failed, attempting reconnect")
            result = asyncio.create_task(waiting(client, thread, gate.state))
            await gate.reached()
            assert await asyncio.to_thread(server.stop) == 0
            await asyncio.to_thread(server.start)
            gate.open()
            assert (await result)["log"] == ALL
        await client.aclose()
