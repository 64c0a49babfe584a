"""What is said over HTTP (spec 15)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

import httpx
import pytest
from langchain_core.messages import AnyMessage
from langgraph.graph import StateGraph, add_messages

from tests.conftest import connected, project_config, served
from tests.driver import Driver, eventually
from tests.gate import Gate
from tests.mcp.conftest import ACCEPT, call, rpc
from waystation.graphs.schemas import schemas
from waystation.mcp.tools import PAGE, arguments_schema, tool_name

NEWEST_HANDSHAKE = "2025-11-25"
CLIENT = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture
def http(driver: Driver) -> httpx.AsyncClient:
    return driver.http


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [(v, v) for v in ("2024-11-05", "2025-03-26", "2025-06-18", NEWEST_HANDSHAKE)] + [("1999-01-01", NEWEST_HANDSHAKE)],
)
async def test_the_handshake(http: httpx.AsyncClient, asked: str, spoken: str) -> None:
    result = (await rpc(http, "initialize", {"protocolVersion": asked, **CLIENT}))["result"]
    assert result["protocolVersion"] == spoken
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    assert result["serverInfo"]["name"] == "Waystation"


async def test_the_newest_revision_has_no_handshake(http: httpx.AsyncClient) -> None:
    version = "2026-07-28"
    prefix = "io.modelcontextprotocol/"
    meta = {f"{prefix}protocolVersion": version, f"{prefix}clientCapabilities": {}}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": "server/discover"}
    result = (await rpc(http, "server/discover", {"_meta": meta}, **headers))["result"]
    assert version in result["supportedVersions"]
    body = {"jsonrpc": "2.0", "id": 1, "method": "no/such", "params": {"_meta": meta}}
    response = await http.post("/mcp", json=body, headers={**ACCEPT, **headers, "Mcp-Method": "no/such"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, -32601)


async def test_a_revision_that_is_not_spoken(http: httpx.AsyncClient) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    response = await http.post("/mcp", json=body, headers={**ACCEPT, "MCP-Protocol-Version": "1999-01-01"})
    assert response.status_code == 400
    assert "error" in response.json()


async def test_small_talk(http: httpx.AsyncClient) -> None:
    response = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 0, "method": "ping"}, headers=ACCEPT)
    assert response.json() == {"jsonrpc": "2.0", "id": 0, "result": {}}
    assert "mcp-session-id" not in response.headers
    assert (await rpc(http, "no/such"))["error"]["code"] == -32601
    for message in ({"method": "notifications/initialized"}, {"id": 3, "result": {}}):
        response = await http.post("/mcp", json={"jsonrpc": "2.0", **message}, headers=ACCEPT)
        assert (response.status_code, response.content) == (202, b"")


async def test_what_is_not_served(http: httpx.AsyncClient) -> None:
    for method, status in (("GET", 405), ("DELETE", 404)):
        response = await http.request(method, "/mcp")
        assert (response.status_code, response.content) == (status, b"")
    response = await http.post("/mcp/", json={}, headers=ACCEPT)
    assert (response.status_code, response.headers["location"]) == (307, "/mcp")


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"7", b'{"id":1,"method":"ping"}', b'{"jsonrpc":"2.0","id":null,"method":"ping"}']
)
async def test_what_is_no_message(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post("/mcp", content=body, headers=ACCEPT)
    assert (response.status_code, list(response.json())) == (400, ["error"])


@pytest.mark.parametrize(
    ("accept", "status"), [("application/json", 200), ("text/event-stream", 200), ("text/html", 400)]
)
async def test_what_clients_accept(http: httpx.AsyncClient, accept: str, status: int) -> None:
    response = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"Accept": accept})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"


async def test_a_client_without_streams_gets_no_progress(http: httpx.AsyncClient) -> None:
    params = {"name": "echo", "arguments": {"x": "a"}, "_meta": {"progressToken": 7}}
    answer = await rpc(http, "tools/call", params, Accept="application/json")
    assert answer["result"]["structuredContent"]["x"] == "a!"


async def test_progress_on_the_wire(http: httpx.AsyncClient) -> None:
    params = {"name": "echo", "arguments": {"x": "a"}, "_meta": {"progressToken": "t"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    response = await http.post("/mcp", json=body, headers=ACCEPT)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert re.findall(r'"method":"([^"]+)"', response.text) == ["notifications/progress"]
    assert '{"progressToken":"t","progress":1,"message":"echo"}' in response.text
    assert '"structuredContent":{"x":"a!"' in response.text


async def test_a_node_that_asks_has_not_finished(http: httpx.AsyncClient) -> None:
    params = {"name": "hitl", "arguments": {"x": "a"}, "_meta": {"progressToken": "t"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    told = (await http.post("/mcp", json=body, headers=ACCEPT)).text
    assert "__interrupt__" in told
    assert "notifications/progress" not in told


async def test_a_run_that_somebody_cancels(http: httpx.AsyncClient, gate: Gate) -> None:
    calling = asyncio.create_task(call(http, "gated", gate.state))
    await gate.reached()
    threads = (await http.post("/threads/search", json={"status": "busy", "limit": 100})).json()
    for thread in threads:
        path = f"/threads/{thread['thread_id']}/runs"
        for run in (await http.get(path)).json():
            if run["kwargs"]["input"] == gate.state:
                await http.post(f"{path}/{run['run_id']}/cancel")
    result = await calling
    assert (result["isError"], result["content"][0]["text"]) == (True, "RunCancelled: the run was cancelled.")


async def test_bad_parameters(http: httpx.AsyncClient) -> None:
    for method, params in (
        ("tools/list", {"cursor": "x"}),
        ("tools/call", {"arguments": {}}),
        ("tools/call", {"name": "echo", "arguments": 7}),
        ("tools/call", {"name": "echo", "arguments": {}, "context": 7}),
    ):
        assert (await rpc(http, method, params))["error"]["code"] == -32602, (method, params)


async def test_the_context_of_a_run(http: httpx.AsyncClient) -> None:
    params = {"name": "contextual", "arguments": {"x": "a"}, "context": {"tone": "red"}}
    assert "red" in (await rpc(http, "tools/call", params))["result"]["content"][0]["text"]


async def test_refusals_and_interrupts_are_results(http: httpx.AsyncClient) -> None:
    result = await call(http, "hitl", {"x": "a"})
    assert result["isError"] is False
    assert result["structuredContent"]["__interrupt__"][0]["value"] == {"question": "ok?"}
    params = {"name": "echo", "arguments": {"x": "a"}, "context": {"a\0": 1}}
    refused = (await rpc(http, "tools/call", params))["result"]
    assert refused["isError"] is True
    assert "NUL" in refused["content"][0]["text"]


async def test_pages_and_names(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        known = len((await rpc(http, "tools/list"))["result"]["tools"])
        for number in range(PAGE):
            body = {"graph_id": "echo", "name": f"t{number:03}"}
            (await http.post("/assistants", json=body)).raise_for_status()
        twins = [
            (await http.post("/assistants", json={"graph_id": graph, "name": name})).json()["assistant_id"]
            for graph, name in (("echo", "a twin"), ("hitl", "a_twin!"), ("echo", "!!!"))
        ]
        first = (await rpc(http, "tools/list"))["result"]
        assert len(first["tools"]) == PAGE
        assert first["nextCursor"] == str(PAGE)
        for cursor in (str(PAGE), PAGE):  # older servers gave numbers
            last = (await rpc(http, "tools/list", {"cursor": cursor}))["result"]
            assert "nextCursor" not in last
            assert len(last["tools"]) == known + 1
            (twin,) = [tool for tool in last["tools"] if tool["name"] == "a_twin"]
            assert twin["title"] == "a twin"
        error = (await rpc(http, "tools/call", {"name": "a_twin", "arguments": {}}))["error"]
        assert error["code"] == -32602
        assert all(twin in error["message"] for twin in twins[:2])


@pytest.mark.parametrize(
    ("name", "called"), [("my agent", "my_agent"), ("ä/b:c", "bc"), ("a.b-c_1", "a.b-c_1"), ("x" * 200, "x" * 128)]
)
def test_names_of_tools(name: str, called: str) -> None:
    assert tool_name(name) == called


class Agent(TypedDict, total=False):
    messages: Annotated[list[AnyMessage | dict[str, Any]], add_messages]
    names: list[str]


def test_what_tools_take() -> None:
    graph = StateGraph(Agent)
    graph.add_node("n", lambda state: state)
    graph.set_entry_point("n")
    declared = schemas(graph.compile())["input_schema"]
    assert declared is not None
    schema, is_input = arguments_schema(declared)
    assert is_input
    assert schema["properties"]["messages"] == {"type": "string", "title": "Messages"}
    assert schema["properties"]["names"]["type"] == "array"
    assert arguments_schema({"type": "string"}) == (
        {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        False,
    )


async def test_a_call_that_the_server_cannot_finish(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        calling = asyncio.create_task(rpc(http, "tools/call", {"name": "gated", "arguments": gate.state}))
        await gate.reached()
        app.state.server.begin_shutdown()
        assert (await calling)["error"]["code"] == -32603

        async def none_left() -> bool:
            return not (await http.post("/threads/search", json={"status": "busy"})).json()

        await eventually(none_left, "the run being cancelled")


async def test_a_server_without(tmp_path: Path) -> None:
    http_config = replace(project_config(tmp_path).http, disabled=frozenset({"mcp"}))
    async with served(tmp_path, http=http_config) as app, connected(app) as http:
        assert (await http.post("/mcp", json={}, headers=ACCEPT)).status_code == 404
