"""Runs of agents by the vendor's client."""

from __future__ import annotations

from typing import Any

import httpx
from managed_deepagents import AsyncClient

from tests.deepagents.conftest import BASE


def words(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def finished(http: httpx.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    """The state that a run has left behind."""
    thread = f"{BASE}/threads/{run['thread_id']}"
    assert (await http.get(f"{thread}/runs/{run['run_id']}/join")).status_code == 200
    found: dict[str, Any] = (await http.get(f"{thread}/state")).json()
    return found


async def test_invoke_answers_the_run_and_not_its_result(managed: AsyncClient, http: httpx.AsyncClient) -> None:
    agent = await managed.agents.create(name="clerk")
    run = await managed.threads.invoke(agent_id=agent["id"], messages=words("Hello"))
    assert (run["status"], run["assistant_id"]) == ("pending", agent["id"])
    state = await finished(http, run)
    assert "You said: 'Hello'" in state["values"]["messages"][-1]["content"]
    assert (await managed.threads.get(run["thread_id"]))["status"] == "idle"


async def test_a_stream_is_that_of_the_agent_server(managed: AsyncClient) -> None:
    agent = await managed.agents.create(name="clerk")
    thread = await managed.threads.create(agent_id=agent["id"])
    events = [
        event
        async for event in managed.threads.stream(
            thread["id"], agent_id=agent["id"], messages=words("Hello"), stream_mode=["messages-tuple", "updates"]
        )
    ]
    assert (events[0].event, events[0].data["attempt"]) == ("metadata", 1)
    assert {event.event for event in events[1:]} == {"messages", "updates"}
    chunks = [event.data for event in events if event.event == "messages"]
    assert all(len(chunk) == 2 for chunk in chunks)
    assert "".join(chunk["content"] for chunk, _ in chunks).startswith("[demo model] You said: 'Hello'")
