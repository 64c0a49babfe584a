"""What a graph factory sees when a thread's state is read or written (spec 17.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def calls(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read_text().splitlines()]


async def test_reads_and_the_two_steps_of_an_update(server: Any, client: Any, trace: Path) -> None:
    thread_id = await server.thread("traced", trace=str(trace))
    await client.get(f"/threads/{thread_id}/state")
    await client.get(f"/threads/{thread_id}/history")
    await client.post(f"/threads/{thread_id}/state", json={"values": {"topic": "x"}})
    assert [call["access_context"] for call in calls(trace)] == [
        "threads.read",
        "threads.read",
        "threads.update",
        "threads.read",
    ]


@pytest.mark.parametrize(("method", "path"), [("GET", "state"), ("GET", "history"), ("POST", "state")])
async def test_the_config_joins_the_threads_with_the_requests(
    server: Any, client: Any, trace: Path, method: str, path: str
) -> None:
    thread_id = await server.thread("traced", trace=str(trace), model="small", langgraph_request_id="old")
    headers = {"X-Request-Id": "this one", "X-Model": "large", "X-Private-Thing": "secret", "X-Api-Key": "secret"}
    body: dict[str, Any] = {"json": {"values": {}}} if method == "POST" else {}
    await client.request(method, f"/threads/{thread_id}/{path}", headers=headers, **body)
    for call in calls(trace):
        assert (call["thread_id"], call["graph_id"]) == (thread_id, "traced")
        assert (call["model"], call["x-model"], call["langgraph_request_id"]) == ("small", "large", "this one")
        assert "secret" not in call.values()
