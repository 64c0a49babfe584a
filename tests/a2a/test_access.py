"""Who sees which agents and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from langgraph_sdk import Auth

from tests.a2a.conftest import rpc
from tests.auth.given import by_header, configured
from tests.auth.owners import owners
from tests.auth.test_api_keys import by, keyed, make_key
from tests.conftest import connected, served

TASK_METHODS = ["tasks/get", "tasks/cancel", "tasks/resubscribe", "tasks/pushNotificationConfig/list"]

PUSH = {"url": "https://example.org/hook", "id": "p"}


def message(**fields: Any) -> dict[str, Any]:
    parts = [{"kind": "data", "data": {"x": "a"}}]
    return {"message": {"role": "user", "messageId": str(uuid4()), "parts": parts, **fields}}


async def see_nothing(http: httpx.AsyncClient, task: Any, other: Mapping[str, str]) -> None:
    """A stranger reaches nothing of the task, even by an agent that is open to all."""
    for method in TASK_METHODS:
        assert (await rpc(http, "hitl", method, {"id": task["id"]}, **other))["error"]["code"] == -32001
    params: dict[str, Any] = {"taskId": task["id"], "pushNotificationConfig": PUSH}
    refused = await rpc(http, "hitl", "tasks/pushNotificationConfig/set", params, **other)
    assert refused["error"]["code"] == -32001
    answer = message(taskId=task["id"], contextId=task["contextId"])
    assert (await rpc(http, "hitl", "message/send", answer, **other))["error"]["code"] == -32001
    into = message(contextId=task["contextId"])
    assert (await rpc(http, "hitl", "message/send", into, **other))["error"]["code"] == -32602
    for wanted in ({}, {"contextId": task["contextId"]}):
        assert (await rpc(http, "hitl", "ListTasks", wanted, **other))["result"]["totalSize"] == 0


async def test_workspaces(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        ours, theirs = by(await make_key(app, "ours")), by(await make_key(app, "theirs"))
        task = (await rpc(http, "hitl", "message/send", message(), **ours))["result"]
        assert task["status"]["state"] == "input-required"
        await see_nothing(http, task, theirs)
        assert (await rpc(http, "hitl", "ListTasks", {}, **ours))["result"]["totalSize"] == 1

        made = await http.post("/assistants", json={"graph_id": "echo", "name": "secret"}, headers=ours)
        path = f"/a2a/{made.json()['assistant_id']}"
        assert (await http.get(path, headers=ours)).json()["name"] == "secret"
        refused = await http.get(path, headers=theirs)
        assert refused.status_code == 400
        assert "secret" not in refused.text
        assert (await http.get(path)).status_code == 401
        assert (await http.post(path, json={})).status_code == 401


async def test_owners(tmp_path: Path) -> None:
    ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
    async with served(tmp_path, auth=configured(owners())) as app, connected(app) as http:
        made = {"graph_id": "hitl", "name": "annes"}
        own = (await http.post("/assistants", json=made, headers=ann)).json()["assistant_id"]
        body = {"jsonrpc": "2.0", "id": "1", "method": "message/send", "params": message()}
        task = (await http.post(f"/a2a/{own}", json=body, headers=ann)).json()["result"]
        assert task["status"]["state"] == "input-required"
        refused = (await http.post(f"/a2a/{own}", json=body, headers=bob)).json()
        assert refused["error"]["code"] == -32602
        body = {"jsonrpc": "2.0", "id": "1", "method": "tasks/get", "params": {"id": task["id"]}}
        assert (await http.post(f"/a2a/{own}", json=body, headers=ann)).json()["result"]["id"] == task["id"]


async def test_handlers_are_asked(tmp_path: Path) -> None:
    asked: list[str] = []
    auth = by_header()

    @auth.on
    async def note(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
        asked.append(f"{ctx.resource}.{ctx.action}")
        if ctx.resource == "threads":
            value.setdefault("metadata", {})["owner"] = ctx.user.identity
            return {"owner": ctx.user.identity}
        return True

    ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
    async with served(tmp_path, auth=configured(auth)) as app, connected(app) as http:
        task = (await rpc(http, "hitl", "message/send", message(), **ann))["result"]
        assert asked == ["assistants.read", "threads.create_run"]
        expected = {
            "tasks/get": "threads.read",
            "tasks/cancel": "threads.update",
            "ListTasks": "threads.search",
        }
        for method, event in expected.items():
            asked.clear()
            await rpc(http, "hitl", method, {"id": task["id"]}, **ann)
            assert asked == ["assistants.read", event], method
        await see_nothing(http, task, bob)


async def test_one_of_two_answers_counts(tmp_path: Path) -> None:
    """Both have found the task waiting before either is stored."""
    auth, both = by_header(), asyncio.Barrier(2)

    @auth.on.threads.create_run
    async def meet(ctx: Auth.types.AuthContext, value: Any) -> None:
        if value["kwargs"]["command"]:
            await both.wait()

    ann = {"X-User": "ann"}
    async with served(tmp_path, auth=configured(auth)) as app, connected(app) as http:
        task = (await rpc(http, "hitl", "message/send", message(), **ann))["result"]
        answer = message(taskId=task["id"])
        answers = await asyncio.gather(*(rpc(http, "hitl", "message/send", answer, **ann) for _ in range(2)))
        [refused] = [each["error"] for each in answers if "error" in each]
        assert refused["code"] == -32004
        assert len((await http.get(f"/threads/{task['contextId']}/runs", headers=ann)).json()) == 2
