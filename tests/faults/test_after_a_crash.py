"""What was going on when a server was killed, seen after its restart. One crash for all of these tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.faults.journal import Journal, assert_repeated_only
from tests.faults.project.graphs import ALL_STEPS, STEP_S
from tests.processes import ServerProcess

RUNS_AT_ONCE = 12


@dataclass
class Before:
    """What the server had acknowledged when it was killed. A run is its thread's id and its own."""

    running: list[tuple[str, str]] = field(default_factory=list)
    queued: list[tuple[str, str]] = field(default_factory=list)
    scheduled: tuple[str, str] = ("", "")
    cancelled: tuple[str, str] = ("", "")
    rolled_back: tuple[str, str] = ("", "")
    asked: tuple[str, str] = ("", "")


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def before(server: ServerProcess, http: httpx.Client) -> Before:
    """All of it is set up, and then the server is killed and restarted."""
    before = Before()
    before.scheduled = started(http, "journaled", after_seconds=4)
    before.asked = started(http, "asking")
    http.get(path(before.asked) + "/join")
    before.cancelled, before.rolled_back = started(http, "journaled"), started(http, "journaled", durability="sync")
    before.running = [started(http, "journaled", durability="sync") for _ in range(RUNS_AT_ONCE)]
    before.queued = [
        started(http, "asking", before.running[0][0], input={"log": [f"q{number}"]}, interrupt_before=["ask"])
        for number in range(3)
    ]
    time.sleep(3 * STEP_S)
    assert http.post(path(before.cancelled) + "/cancel").status_code == 202
    assert http.post(path(before.rolled_back) + "/cancel", params={"action": "rollback"}).status_code == 202
    server.kill()
    server.start()
    return before


def started(http: httpx.Client, graph: str, thread_id: str = "", **given: Any) -> tuple[str, str]:
    """A run on the thread, or on a new one."""
    thread_id = thread_id or http.post("/threads", json={}).json()["thread_id"]
    response = http.post(f"/threads/{thread_id}/runs", json={"assistant_id": graph, "input": {"log": []}, **given})
    assert response.status_code == 200, response.text
    return thread_id, response.json()["run_id"]


def path(run: tuple[str, str]) -> str:
    return f"/threads/{run[0]}/runs/{run[1]}"


def joined(http: httpx.Client, run: tuple[str, str]) -> tuple[Any, str, str]:
    """The run's result, its status, and that of its thread."""
    result = http.get(path(run) + "/join").json()
    return result, http.get(path(run)).json().get("status"), http.get(f"/threads/{run[0]}").json()["status"]


def test_every_run_completes(before: Before, http: httpx.Client, journal: Journal) -> None:
    for run in before.running[1:]:
        result, status, thread_status = joined(http, run)
        assert (result["log"], status, thread_status) == (ALL_STEPS, "success", "idle")
        assert_repeated_only(ALL_STEPS, journal.begun(run[0]), allowed=1)


def test_queued_runs_keep_their_order(before: Before, http: httpx.Client) -> None:
    for run in before.queued:
        assert joined(http, run)[1] == "success"
    state = http.get(f"/threads/{before.queued[0][0]}/state").json()
    assert state["values"]["log"] == [*ALL_STEPS, "q0", "q1", "q2"]


def test_scheduled_run_is_not_forgotten(before: Before, http: httpx.Client, journal: Journal) -> None:
    result, status, thread_status = joined(http, before.scheduled)
    assert (result["log"], status, thread_status) == (ALL_STEPS, "success", "idle")
    assert journal.begun(before.scheduled[0]) == ALL_STEPS


def test_cancelled_run_stays_cancelled(before: Before, http: httpx.Client, journal: Journal) -> None:
    _, status, thread_status = joined(http, before.cancelled)
    assert (status, thread_status) == ("interrupted", "interrupted")
    begun = journal.begun(before.cancelled[0])
    assert begun == ALL_STEPS[: len(begun)] != ALL_STEPS


def test_rolled_back_run_leaves_nothing(before: Before, http: httpx.Client, journal: Journal) -> None:
    thread_id = before.rolled_back[0]
    http.get(path(before.rolled_back) + "/join")
    assert http.get(path(before.rolled_back)).status_code == 404
    assert http.post(f"/threads/{thread_id}/history", json={"limit": 10}).json() == []
    assert http.get(f"/threads/{thread_id}").json()["status"] == "idle"
    begun = journal.begun(thread_id)
    assert begun == ALL_STEPS[: len(begun)] != ALL_STEPS


def test_open_question_can_still_be_answered(before: Before, http: httpx.Client) -> None:
    thread_id = before.asked[0]
    thread = http.get(f"/threads/{thread_id}").json()
    assert (thread["status"], [each["value"] for task in thread["interrupts"].values() for each in task]) == (
        "interrupted",
        ["go on?"],
    )
    body = {"assistant_id": "asking", "command": {"resume": "yes"}}
    done = http.post(f"/threads/{thread_id}/runs/wait", json=body).json()
    assert (done["answer"], done["log"]) == ("yes", ["answered", "after"])


def test_no_thread_stays_busy(before: Before, http: httpx.Client) -> None:
    for run in [*before.running, *before.queued, before.scheduled, before.cancelled]:
        joined(http, run)
    assert http.post("/threads/count", json={"status": "busy"}).json() == 0
