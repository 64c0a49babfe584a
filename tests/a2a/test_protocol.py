"""What is said over HTTP (spec 14)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.a2a.conftest import agent_url, rpc
from tests.conftest import connected, project_config, served
from tests.sse import parse
from waystation.assistants import assistant_id_for_graph


def message(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "user", "messageId": str(uuid4()), "parts": list(parts), **fields}}


def said(text: str) -> dict[str, Any]:
    return {"kind": "text", "text": text}


async def test_the_older_names(http: httpx.AsyncClient) -> None:
    task = (await rpc(http, "chat", "message/send", message(said("2"))))["result"]
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    thread_id, _, run_id = task["id"].partition(":")
    assert thread_id == task["contextId"]
    assert len(run_id) == 36
    first, last = task["history"]
    assert first["role"] == "user"
    assert last == {
        "kind": "message",
        "role": "agent",
        "parts": [said("w0 w1")],
        "messageId": last["messageId"],
        "taskId": task["id"],
        "contextId": thread_id,
    }
    (artifact,) = task["artifacts"]
    assert artifact["parts"] == [said("w0 w1")]


async def test_the_newer_names(http: httpx.AsyncClient) -> None:
    task = (await rpc(http, "chat", "SendMessage", message({"text": "2"}, role="ROLE_USER")))["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert [each["role"] for each in task["history"]] == ["ROLE_USER", "ROLE_AGENT"]
    found = (await rpc(http, "chat", "GetTask", {"id": task["id"]}))["result"]
    assert found == task


async def test_frames(http: httpx.AsyncClient) -> None:
    body = {"jsonrpc": "2.0", "id": 7, "method": "message/stream", "params": message(said("1"))}
    response = await http.post(agent_url("chat"), json=body, headers={"Accept": "text/event-stream"})
    events = parse(response.content)
    assert {event.name for event in events} == {"message"}
    assert {event.data["id"] for event in events} == {7}
    results = [event.data["result"] for event in events]
    assert [each["kind"] for each in results][:2] == ["task", "status-update"]
    assert (results[-2]["append"], results[-2]["lastChunk"]) == (False, True)
    assert [each["final"] for each in results if each["kind"] == "status-update"][-2:] == [False, True]


async def test_history(http: httpx.AsyncClient) -> None:
    first = (await rpc(http, "chat", "message/send", message(said("1"))))["result"]
    second = message(said("2"), contextId=first["contextId"])

    async def texts(configuration: dict[str, Any], **headers: str) -> list[str] | None:
        params = {**message(said("2"), contextId=first["contextId"]), "configuration": configuration}
        task = (await rpc(http, "chat", "message/send", params, **headers))["result"]
        return [each["parts"][0]["text"] for each in task["history"]] if "history" in task else None

    assert len((await rpc(http, "chat", "message/send", second))["result"]["history"]) == 4
    assert await texts({"historyLength": 0}) is None
    assert await texts({"historyLength": 1}) == ["w0 w1"]
    assert await texts({"historyScope": "task"}) == ["2", "w0 w1"]
    assert await texts({}, **{"LangGraph-A2A-History-Scope": "task"}) == ["2", "w0 w1"]
    for wrong in ({"historyLength": 11}, {"historyLength": -1}, {"historyScope": "all"}):
        params = {**message(said("2")), "configuration": wrong}
        assert (await rpc(http, "chat", "message/send", params))["error"]["code"] == -32602


async def test_a_command(http: httpx.AsyncClient) -> None:
    task = (await rpc(http, "hitl", "message/send", message({"kind": "data", "data": {"x": "a"}})))["result"]
    ids = {"taskId": task["id"], "contextId": task["contextId"]}
    params = message(said("no"), **ids, command={"resume": "yes"})
    done = (await rpc(http, "hitl", "message/send", params))["result"]
    assert done["artifacts"][0]["parts"][0]["data"]["x"] == "yes!"


async def test_metadata_reaches_the_run(http: httpx.AsyncClient) -> None:
    params = {**message({"data": {"x": "a"}}, metadata={"a": 1}), "metadata": {"b": 2}}
    task = (await rpc(http, "echo", "SendMessage", params))["result"]["task"]
    (run,) = (await http.get(f"/threads/{task['contextId']}/runs")).json()
    assert run["metadata"].items() >= {"a": 1, "b": 2}.items()


BAD_PARAMS: list[tuple[str, Any]] = [
    ("message/send", {}),
    ("message/send", {"message": {"role": "user", "messageId": "m", "parts": []}}),
    ("message/send", {"message": {"role": "user", "parts": [said("a")]}}),
    ("message/send", {"message": {"role": "king", "messageId": "m", "parts": [said("a")]}}),
    ("message/send", message({"kind": "text"})),
    ("message/send", message({"kind": "file", "file": {}})),
    ("message/send", message(said("a"), contextId="x")),
    ("message/send", message(said("a"), metadata=7)),
    ("tasks/get", {}),
    ("ListTasks", {"pageSize": 101}),
    ("ListTasks", {"pageToken": "x"}),
    ("ListTasks", {"contextId": "x"}),
    ("ListTasks", {"statusTimestampAfter": "yesterday"}),
    ("tasks/pushNotificationConfig/set", {"taskId": f"{uuid4()}:{uuid4()}"}),
    ("tasks/pushNotificationConfig/set", {"taskId": "x", "pushNotificationConfig": {"url": "ftp://a.example"}}),
]


@pytest.mark.parametrize(("method", "params"), BAD_PARAMS)
async def test_bad_parameters(http: httpx.AsyncClient, method: str, params: Any) -> None:
    assert (await rpc(http, "chat", method, params))["error"]["code"] == -32602


async def test_other_errors(http: httpx.AsyncClient) -> None:
    async def code(content: bytes) -> int:
        response = await http.post(agent_url("chat"), content=content)
        assert response.status_code == 200
        return int(response.json()["error"]["code"])

    assert await code(b"{") == -32700
    assert await code(b"[]") == -32600
    assert await code(b'{"id":"1","method":"tasks/get"}') == -32600
    assert (await rpc(http, "chat", "no/such", {}))["error"]["code"] == -32601
    assert (await rpc(http, "echo", "message/send", message(said("a"))))["error"]["code"] == -32602
    assert (await rpc(http, "chat", "GetTask", {"id": "x"}))["error"]["code"] == -32001
    assert (await rpc(http, "chat", "GetTask", {"id": "x"}, **{"A2A-Version": "2.0"}))["error"]["code"] == -32009
    params = {**message(said("a")), "configuration": {"acceptedOutputModes": ["image/png"]}}
    assert (await rpc(http, "chat", "message/send", params))["error"]["code"] == -32005
    for nobody in (str(uuid4()), "nothing"):
        body = {"jsonrpc": "2.0", "id": "1", "method": "tasks/get", "params": {"id": "x"}}
        answer = (await http.post(f"/a2a/{nobody}", json=body)).json()
        assert answer["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("method", "accept", "fine"),
    [
        ("tasks/get", "application/json", True),
        ("tasks/get", "application/*", True),
        ("tasks/get", "text/event-stream", False),
        ("message/stream", "application/json", False),
        ("message/stream", "text/html, text/event-stream;q=0.5", True),
        ("message/stream", "*/*", True),
    ],
)
async def test_what_clients_accept(http: httpx.AsyncClient, method: str, accept: str, fine: bool) -> None:
    body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": {}}
    response = await http.post(agent_url("chat"), json=body, headers={"Accept": accept})
    if fine:
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32602)
    else:
        assert (response.status_code, list(response.json())) == (400, ["error"])


async def test_cards(http: httpx.AsyncClient) -> None:
    body = {
        "graph_id": "chat",
        "name": "Painter",
        "description": "Paints.",
        "metadata": {"a2a": {"output_modes": ["image/png"]}},
    }
    assistant_id = (await http.post("/assistants", json=body)).json()["assistant_id"]
    url = f"/a2a/{assistant_id}"
    card = (await http.get(url)).json()
    assert (card["name"], card["description"], card["version"]) == ("Painter", "Paints.", "1")
    assert card["url"] == f"{str(http.base_url).rstrip('/')}{url}"
    assert card["supportedInterfaces"][0] == {
        "url": card["url"],
        "protocolBinding": "JSONRPC",
        "protocolVersion": "1.0",
    }
    assert card["capabilities"]["streaming"] is True
    assert card["capabilities"]["pushNotifications"] is True
    assert card["defaultInputModes"] == ["application/json", "text/plain"]
    assert card["defaultOutputModes"] == ["image/png"]
    assert [skill["id"] for skill in card["skills"]] == [f"{assistant_id}-main"]
    for path in (
        f"/.well-known/agent-card.json?assistant_id={assistant_id}",
        f"{url}/.well-known/agent-card.json",
        f"{url}/.well-known/agent.json",
        f"{url}/",
    ):
        assert (await http.get(path)).json() == card
    for method in ("GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"):
        request = {"jsonrpc": "2.0", "id": "1", "method": method}
        assert (await http.post(url, json=request)).json()["result"] == card
    for path in ("/.well-known/agent-card.json", f"/a2a/{uuid4()}", "/a2a/nothing/.well-known/agent.json"):
        response = await http.get(path)
        assert response.status_code == 400
        assert set(response.json()["error"]) == {"code", "message"}
    assert (await http.delete(url)).status_code == 405


async def test_the_card_of_a_server(tmp_path: Path) -> None:
    chosen = str(assistant_id_for_graph("echo"))
    http_config = replace(project_config(tmp_path).http, disable_webhooks=True, mount_prefix="/api")
    async with served(tmp_path, a2a_assistant_id=chosen, http=http_config) as app, connected(app) as http:
        card = (await http.get("/api/.well-known/agent-card.json")).json()
        assert card["url"] == f"http://waystation/api/a2a/{chosen}"
        assert card["capabilities"]["pushNotifications"] is False
        body = {"jsonrpc": "2.0", "id": "1", "method": "message/send"}
        wanted = {"pushNotificationConfig": {"url": "https://example.org"}}
        body["params"] = {**message({"data": {"x": "a"}}), "configuration": wanted}  # type: ignore[assignment]
        response = await http.post(f"/api/a2a/{chosen}", content=json.dumps(body))
        assert response.json()["error"]["code"] == -32003


async def test_a_server_without(tmp_path: Path) -> None:
    http_config = replace(project_config(tmp_path).http, disabled=frozenset({"a2a"}))
    async with served(tmp_path, http=http_config) as app, connected(app) as http:
        assert (await http.get(agent_url("echo"))).status_code == 404
        assert (await http.get("/.well-known/agent-card.json")).status_code == 404
