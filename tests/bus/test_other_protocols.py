"""MCP and A2A on processes that execute nothing themselves: what a client does by one is heard by all."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.a2a.conftest import agent_url, rpc
from tests.bus.fleet import Fleet
from tests.driver import eventually
from tests.gate import Gate
from tests.live import LiveServer
from tests.mcp.conftest import ACCEPT
from tests.mcp.conftest import rpc as mcp
from tests.sse import parse, received
from tests.webhooks.conftest import calls_of
from tests.webhooks.receiver import receiving


def client(server: LiveServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=60, verify=False)


def message(**data: Any) -> dict[str, Any]:
    return {"message": {"role": "user", "messageId": "m", "parts": [{"kind": "data", "data": data}]}}


async def test_calling_tools(fleet: Fleet, gate: Gate) -> None:
    api, worker = fleet.start("api"), fleet.worker()
    async with client(api) as http:
        params = {"name": "nested", "arguments": {"x": "a"}, "_meta": {"progressToken": "t"}}
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        told = (await http.post("/mcp", json=body, headers=ACCEPT)).text
        assert re.findall(r'"message":"(\w+)"}', told) == ["before", "sub", "after"]
        assert '"structuredContent":{"x":"a!!"' in told
        failed = await mcp(http, "tools/call", {"name": "failing", "arguments": {"x": "a"}})
        assert failed["result"]["content"][0]["text"] == "ValueError: the node failed"

        params = {"name": "gated", "arguments": gate.state}
        async with http.stream("POST", "/mcp", json={**body, "params": params}, headers=ACCEPT):
            await gate.reached()

        async def stopped() -> bool:
            return bool(worker.app.state.server.worker.figures().active == 0)

        await eventually(stopped, "the run stopping with its client")


async def test_a_task_on_three_processes(fleet: Fleet, gate: Gate) -> None:
    options: dict[str, Any] = {"allow_private_urls": True}
    one, other = fleet.start("api", **options), fleet.start("api", **options)
    fleet.worker(**options)
    async with client(one) as first, client(other) as second:
        with receiving() as receiver:
            wanted = {"blocking": False, "pushNotificationConfig": {"url": receiver.url}}
            params = {**message(**gate.state), "configuration": wanted}
            task = (await rpc(first, "gated", "message/send", params))["result"]
            await gate.reached()
            body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": {"id": task["id"]}}
            async with second.stream("POST", agent_url("gated"), json=body) as response:
                events = received(response)
                assert (await anext(events)).data["result"]["status"]["state"] == "working"
                gate.open()
                last = [event async for event in events][-1].data["result"]
            assert (last["status"]["state"], last["final"]) == ("completed", True)
            (call,) = await calls_of(receiver)
            assert call.body["status"]["state"] == "completed"
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": message(x="a")}
        response = await second.post(agent_url("hitl"), json=body)
        asked = parse(response.content)[-1].data["result"]
        assert asked["status"]["state"] == "input-required"
        answer = message(resume="yes")
        answer["message"]["taskId"] = asked["taskId"]
        assert (await rpc(first, "hitl", "message/send", answer))["result"]["status"]["state"] == "completed"
