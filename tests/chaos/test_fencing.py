"""A worker that was stopped for longer than its lease, and goes on: its runs are somebody else's, and it cannot do anything to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.chaos.clients import TIMEOUT
from tests.chaos.cluster import LEASE_S, Cluster, running_cluster
from tests.driver import Driver
from tests.faults.events import Event, events_of

STEP_S = 0.15

RUNS = [
    {"durability": durability, "stream_resumable": resumable, "stream_mode": ["values"]}
    for durability in ("sync", "async")
    for resumable in (True, False)
]

TABLES = ("threads", "runs", "events", "checkpoints", "checkpoint_values", "checkpoint_writes", "checkpoint_runs")

PATIENCE_S = 30


async def test_a_worker_that_was_stopped_changes_nothing_when_it_goes_on(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, apis=1, workers=2, pause_s=STEP_S, idle_workers=1) as cluster:
        stopped, other = cluster.workers
        async with httpx.AsyncClient(base_url=cluster.urls[0], timeout=TIMEOUT, verify=False) as http:
            driver = Driver(http)
            threads = [await driver.thread() for _ in RUNS]
            heard: list[list[Event]] = [[] for _ in RUNS]
            streams = [
                asyncio.create_task(_stream(http, thread, fields, events))
                for thread, fields, events in zip(threads, RUNS, heard, strict=True)
            ]
            listeners = [asyncio.create_task(_listen(http, thread, events)) for thread, events in zip(threads, heard, strict=True)]
            await _until(lambda: _all_begun(driver, threads), "all runs being in the middle")
            stopped.freeze()
            cluster.chronicle.note(f"{stopped.name} is stopped")
            other.launch()
            await asyncio.gather(*streams)
            cluster.chronicle.note(f"{other.name} has finished the runs")
            before, heard_before = await _everything(cluster, driver, threads), [list(events) for events in heard]

            # From here on only the first worker is there: what it does shows.
            other.kill()
            stopped.thaw()
            await _until(lambda: _has_dropped(stopped.log, len(RUNS)), "the worker noticing")
            await asyncio.sleep(LEASE_S)
            after = await _everything(cluster, driver, threads)
            assert after == before
            assert heard == heard_before
            result = await driver.wait(None, "stepping", {"tag": "next"})
            assert len(result["log"]) == 10, "it still executes what is its own"

        for states, runs in zip(before["states"], before["runs"], strict=True):
            assert [state["metadata"]["step"] for state in states] == list(range(10, -2, -1))
            attempts = [state["metadata"]["run_attempt"] for state in reversed(states)]
            assert attempts == sorted(attempts)
            assert set(attempts) == {1, 2}
            assert [run["status"] for run in runs] == ["success"]
        for listening in listeners:
            listening.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


async def _stream(http: httpx.AsyncClient, thread_id: str, fields: dict[str, Any], events: list[Event]) -> None:
    """Create a run and read its stream to the end."""
    body = {"assistant_id": "stepping", "input": {"tag": "one"}, **fields}
    async with http.stream("POST", f"/threads/{thread_id}/runs/stream", json=body) as response:
        async for event in events_of(response):
            events.append(event)


async def _listen(http: httpx.AsyncClient, thread_id: str, events: list[Event]) -> None:
    """Hear whatever is said about the thread."""
    async with http.stream("GET", f"/threads/{thread_id}/stream", headers={"Last-Event-ID": "-"}) as response:
        async for event in events_of(response):
            events.append(event)


async def _all_begun(driver: Driver, threads: list[str]) -> bool:
    """Whether each run has committed some steps, and has some left."""
    states = [await driver.state(thread) for thread in threads]
    return all(len((state["values"] or {}).get("log", ())) >= 3 for state in states)


async def _has_dropped(log: str, runs: int) -> bool:
    return log.count("lost the lease of a run") == runs


async def _until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await look():
            await asyncio.sleep(0.02)


async def _everything(cluster: Cluster, driver: Driver, threads: list[str]) -> dict[str, Any]:
    """All that is stored of runs, row by row, and as clients see it."""

    def rows() -> dict[str, list[str]]:
        with psycopg.connect(cluster.postgres.uri) as connection:
            found = {}
            for table in TABLES:
                query = f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1"
                found[table] = [text for (text,) in connection.execute(query.encode())]
            return found

    return {
        "rows": await asyncio.to_thread(rows),
        "states": [await driver.history(thread) for thread in threads],
        "runs": [await driver.runs(thread) for thread in threads],
        "threads": [json.dumps(await driver.show(thread)) for thread in threads],
    }
