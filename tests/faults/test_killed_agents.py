"""A server killed in the middle of an agent's run, and while one waits for a person."""

from __future__ import annotations

from typing import Any

import httpx

from tests.driver import eventually
from tests.faults.kill_points import kill_and_restart
from tests.processes import ServerProcess

BASE = "/v1/deepagents"

STEPS = 5


async def begun(http: httpx.AsyncClient, text: str, **fields: Any) -> tuple[str, str, str]:
    """The ids of a new agent, of a thread of it, and of a run that the server has acknowledged."""
    agent = (await http.post(f"{BASE}/agents", json={"name": "clerk", "model": "slow", **fields})).json()["id"]
    said = {"messages": [{"role": "user", "content": text}]}
    response = await http.post(f"{BASE}/threads/runs", json={"agent_id": agent, "input": said})
    assert response.status_code == 200, response.text
    return agent, response.json()["thread_id"], response.json()["run_id"]


async def files(http: httpx.AsyncClient, thread: str) -> list[str]:
    state = (await http.get(f"{BASE}/threads/{thread}/state")).json()
    return sorted(state["values"].get("files") or ())


async def joined(http: httpx.AsyncClient, thread: str, run: str) -> dict[str, Any]:
    result: dict[str, Any] = (await http.get(f"{BASE}/threads/{thread}/runs/{run}/join")).json()
    return result


async def test_an_agent_goes_on_from_its_last_step(server: ServerProcess, http: httpx.AsyncClient) -> None:
    paths = [f"/{number}.txt" for number in range(STEPS)]
    _, thread, run = await begun(http, "\n".join(f"write {path}: x" for path in paths))

    async def half_way() -> bool:
        return len(await files(http, thread)) >= STEPS // 2

    await eventually(half_way, "half of the steps")
    await kill_and_restart(server)
    result = await joined(http, thread, run)
    assert await files(http, thread) == paths
    calls = [call["args"]["file_path"] for message in result["messages"] for call in message.get("tool_calls") or ()]
    assert calls == paths
    assert (await http.get(f"{BASE}/threads/{thread}/runs/{run}")).json()["status"] == "success"


async def test_a_pause_outlives_the_server(server: ServerProcess, http: httpx.AsyncClient) -> None:
    gated = {"tools": [], "interrupt_config": {"write_file": True}}
    agent, thread, run = await begun(http, "write a.txt: x", tools=gated)
    assert "__interrupt__" in await joined(http, thread, run)
    await http.patch(f"{BASE}/agents/{agent}", json={"tools": {"tools": []}})
    await kill_and_restart(server)
    body = {"agent_id": agent, "command": {"resume": {"decisions": [{"type": "approve"}]}}}
    resumed = await http.post(f"{BASE}/threads/{thread}/runs", json=body)
    assert resumed.status_code == 200, resumed.text
    await joined(http, thread, resumed.json()["run_id"])
    assert await files(http, thread) == ["/a.txt"]
