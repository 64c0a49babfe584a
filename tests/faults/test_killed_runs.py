"""A server killed in the middle of a run: the run goes on from its last checkpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.driver import eventually
from tests.faults.journal import Journal, assert_repeated_only
from tests.faults.kill_points import EVERY_KILL_POINT, kill_after, kill_and_restart
from tests.faults.project.graphs import ALL_STEPS, STEP_S
from tests.processes import ServerProcess


async def started(http: httpx.AsyncClient, graph: str, **given: Any) -> tuple[str, str]:
    """The ids of a new thread and of a run on it that the server has acknowledged."""
    thread_id = (await http.post("/threads", json={})).json()["thread_id"]
    body = {"assistant_id": graph, "input": {"log": []}, **given}
    response = await http.post(f"/threads/{thread_id}/runs", json=body)
    assert response.status_code == 200, response.text
    return thread_id, response.json()["run_id"]


async def finished(http: httpx.AsyncClient, thread_id: str, run_id: str) -> dict[str, Any]:
    """The run's result, once it is over and successful."""
    values: dict[str, Any] = (await http.get(f"/threads/{thread_id}/runs/{run_id}/join")).json()
    run = (await http.get(f"/threads/{thread_id}/runs/{run_id}")).json()
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (run["status"], thread["status"]) == ("success", "idle"), values
    return values


@EVERY_KILL_POINT
async def test_run_resumes_from_its_last_checkpoint(
    kill_point: int, server: ServerProcess, http: httpx.AsyncClient, journal: Journal
) -> None:
    durability = "async" if kill_point % 2 else "sync"
    thread_id, run_id = await started(http, "journaled", durability=durability)
    await asyncio.sleep(kill_after(kill_point, len(ALL_STEPS) * STEP_S))
    await kill_and_restart(server)
    assert (await finished(http, thread_id, run_id))["log"] == ALL_STEPS
    # With `async` a step begins while the checkpoint before it is still being written: then two are in flight.
    assert_repeated_only(ALL_STEPS, journal.begun(thread_id), allowed=1 if durability == "sync" else 2)
    history = (await http.post(f"/threads/{thread_id}/history", json={"limit": 100})).json()
    assert [state["metadata"]["step"] for state in history] == list(range(len(ALL_STEPS), -2, -1))


@pytest.mark.nightly
async def test_killed_again_while_it_recovers(server: ServerProcess, http: httpx.AsyncClient) -> None:
    thread_id, run_id = await started(http, "journaled")
    for _ in range(2):
        await asyncio.sleep(2 * STEP_S)
        await kill_and_restart(server)
    assert (await finished(http, thread_id, run_id))["log"] == ALL_STEPS


async def test_run_that_kills_the_server_is_given_up(
    server: ServerProcess, http: httpx.AsyncClient, journal: Journal
) -> None:
    thread_id, run_id = await started(http, "journaled")
    for _ in range(3):
        begun = len(journal.begun(thread_id))

        async def taken_up(begun: int = begun) -> bool:
            return len(journal.begun(thread_id)) > begun

        await eventually(taken_up, "the run going on")
        await kill_and_restart(server)
    result = (await http.get(f"/threads/{thread_id}/runs/{run_id}/join")).json()
    run = (await http.get(f"/threads/{thread_id}/runs/{run_id}")).json()
    thread = (await http.get(f"/threads/{thread_id}")).json()
    assert (run["status"], thread["status"]) == ("error", "error")
    assert result["__error__"]["error"] == "RuntimeError"
