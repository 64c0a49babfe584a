"""The official client lists and calls tools, hears of progress, and cancels (spec 15)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from mcp import MCPError
from mcp.client.client import Client
from mcp_types import CallToolResult, TextContent

from tests.driver import Driver, eventually
from tests.gate import Gate
from tests.live import LiveServer
from tests.mcp.conftest import ACCEPT, Connect


async def test_every_assistant_is_a_tool(connect: Connect, driver: Driver) -> None:
    body = {"graph_id": "chat", "name": "Ann's chat, no. 2", "description": "Talks."}
    (await driver.http.post("/assistants", json=body)).raise_for_status()
    async with connect() as client:
        tools, cursor = {}, None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools.update({tool.name: tool for tool in page.tools})
            if (cursor := page.next_cursor) is None:
                break
    assert {"echo", "chat", "hitl"} <= set(tools)
    tool = tools["Anns_chat_no._2"]
    assert (tool.title, tool.description) == (body["name"], "Talks.")
    assert tool.input_schema["properties"] == {"messages": {"type": "string", "title": "Messages"}}
    assert "$defs" not in tool.input_schema
    assert tool.annotations is not None
    hints = tool.annotations.model_dump(exclude={"title"})
    assert hints == {
        "read_only_hint": False,
        "destructive_hint": False,
        "idempotent_hint": False,
        "open_world_hint": True,
    }
    assert tools["echo"].input_schema["properties"]["n"]["type"] == "integer"


async def test_calling_a_tool(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("chat", {"messages": "2"})
    assert not result.is_error
    assert [message["content"] for message in result.structured_content["messages"]] == ["2", "w0 w1"]
    assert json.loads(text_of(result)) == result.structured_content


async def test_a_run_that_fails_is_an_error_of_the_tool(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("failing", {"x": "a"})
    assert result.is_error
    assert text_of(result) == "ValueError: the node failed"


async def test_an_unknown_tool(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match="Unknown tool: 'nothing'") as error:
            await client.call_tool("nothing", {})
    assert error.value.error.code == -32602


async def test_progress(connect: Connect) -> None:
    told: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with connect() as client:
        result = await client.call_tool("nested", {"x": "a"}, progress_callback=on_progress)
        assert result.structured_content["x"] == "a!!"

        async def all_told() -> bool:
            return len(told) == 3

        await eventually(all_told, "the last notification")
    assert told == [(1, "before"), (2, "sub"), (3, "after")]


@pytest.mark.parametrize("progress", [False, True])
async def test_cancelling_a_call_cancels_its_run(
    live_server: LiveServer, driver: Driver, gate: Gate, progress: bool
) -> None:
    async def on_progress(progress: float, total: float | None, message: str | None) -> None: ...

    async with Client(f"{live_server.url}/mcp") as client:
        options: dict[str, Any] = {"progress_callback": on_progress} if progress else {}
        calling = asyncio.create_task(client.call_tool("gated", gate.state, **options))
        await gate.reached()
        calling.cancel()
        await no_run_in_flight(driver, gate)


async def test_a_call_that_takes_its_time(connect: Connect, gate: Gate) -> None:
    """The answer comes after signs of life, which a client does not see."""
    async with connect() as client:
        calling = asyncio.create_task(client.call_tool("gated", gate.state))
        await gate.reached()
        await asyncio.sleep(0.5)
        gate.open()
        result = await calling
    assert result.structured_content["log"] == ["first", "gate", "last"]


async def test_a_client_that_goes_away(live_server: LiveServer, driver: Driver, gate: Gate) -> None:
    body = {"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "gated", "arguments": gate.state}}
    async with (
        httpx.AsyncClient(base_url=live_server.url, timeout=30, verify=False) as http,
        http.stream("POST", "/mcp", json=body, headers=ACCEPT) as response,
    ):
        assert response.headers["content-type"] == "application/json"
        async for alive in response.aiter_raw():
            assert alive.strip() == b""
            break
        await gate.reached()
    await no_run_in_flight(driver, gate)


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def no_run_in_flight(driver: Driver, gate: Gate) -> None:
    """The thread of a call goes with its run. Were the run still there, it would be found, for its gate is closed."""

    async def look() -> bool:
        response = await driver.http.post("/threads/search", json={"status": "busy", "limit": 100})
        response.raise_for_status()
        for thread in response.json():
            runs = await driver.http.get(f"/threads/{thread['thread_id']}/runs")
            if runs.status_code == 200 and any(run["kwargs"]["input"] == gate.state for run in runs.json()):
                return False
        return True

    await eventually(look, "the run going away")
