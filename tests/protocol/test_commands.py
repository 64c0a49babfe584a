"""Commands over HTTP: what they answer, also to what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Driver
from tests.gate import Gate
from tests.protocol.client import Client, kinds, of, taken


async def post(client: Client, body: Any, **options: Any) -> Any:
    return await client.http.post(f"/threads/{client.thread_id}/commands", json=body, **options)


@pytest.mark.parametrize(
    ("body", "command_id"),
    [
        ({"method": "run.start"}, None),
        ({"id": "1", "method": "run.start"}, None),
        ({"id": True, "method": "run.start"}, None),
        ({"id": 7}, 7),
        ({"id": 7, "method": 3}, 7),
        ({"id": 7, "method": "run.start", "params": []}, 7),
        ([], None),
    ],
)
async def test_what_is_no_command(client: Client, body: Any, command_id: int | None) -> None:
    response = await post(client, body)
    assert response.status_code == 400
    answer = response.json()
    assert (answer["type"], answer["id"], answer["error"]) == ("error", command_id, "invalid_argument")
    assert answer["message"]


async def test_what_is_no_json(client: Client) -> None:
    path = f"/threads/{client.thread_id}"
    for where in ("commands", "stream/events"):
        response = await client.http.post(f"{path}/{where}", content=b"{")
        assert response.status_code == 400
        assert list(response.json()) == ["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"channels": []},
        {"channels": ["debug"]},
        {"channels": ["custom:"]},
        {"channels": "values"},
        {"channels": ["values"], "depth": "1"},
        {"channels": ["values"], "depth": -1},
        {"channels": ["values"], "since": "x"},
        {"channels": ["values"], "namespaces": ["a"]},
        [],
    ],
)
async def test_what_is_no_subscription(client: Client, body: Any) -> None:
    response = await client.http.post(f"/threads/{client.thread_id}/stream/events", json=body)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["detail"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("nothing.such", {}, "unknown_command"),
        ("run.start", {}, "invalid_argument"),
        ("run.start", {"assistant_id": "echo", "config": 3}, "invalid_argument"),
        ("run.start", {"assistant_id": "unknown-graph"}, "unknown_error"),
        ("input.respond", {"responses": []}, "invalid_argument"),
        ("input.respond", {}, "invalid_argument"),
        ("input.inject", {"namespace": [], "message": {}}, "invalid_argument"),
        ("input.inject", {"message": {"role": "tool", "content": "a"}}, "invalid_argument"),
        ("input.inject", {"namespace": ["sub"], "message": {"role": "user", "content": "a"}}, "not_supported"),
        ("input.inject", {"message": {"role": "user", "content": "a"}}, "unknown_error"),
        ("subscription.subscribe", {"channels": []}, "invalid_argument"),
        ("subscription.reconnect", {"channels": ["values"], "since": 1}, "not_supported"),
        ("state.get", {"namespace": 3}, "invalid_argument"),
        ("state.fork", {"checkpoint_id": "no-uuid"}, "no_such_checkpoint"),
        ("state.listCheckpoints", {"limit": 0}, "invalid_argument"),
    ],
)
async def test_what_cannot_be_done(client: Client, method: str, params: dict[str, Any], code: str) -> None:
    answer = await client.command(method, **params)
    assert (answer["type"], answer["error"]) == ("error", code)
    assert answer["message"]


async def test_a_run_that_may_not_wait(client: Client, gate: Gate) -> None:
    await client.run("gated", gate.state)
    await gate.reached()
    answer = await client.command("run.start", assistant_id="echo", input={}, multitaskStrategy="reject")
    assert answer["error"] == "unknown_error"
    assert answer["message"].startswith("409")
    gate.open()


async def test_a_subscription_over_http_does_no_harm(client: Client) -> None:
    assert (await client.done("subscription.subscribe", channels=["values"]))["replayed_events"] == 0
    assert await client.done("subscription.unsubscribe", subscription_id="http") == {}


async def test_the_tree_of_what_is_going_on(client: Client, gate: Gate) -> None:
    assert (await client.command("agent.getTree"))["error"] == "unknown_error", "there is no such thread"
    await client.run("nested", {"x": "a"})
    await client.until()
    assert (await client.command("agent.getTree"))["error"] == "no_such_run"
    run_id = await client.run("gated_below", gate.state)
    await gate.reached()
    tree = (await client.done("agent.getTree"))["tree"]
    [child] = tree.pop("children")
    assert tree == {"namespace": [], "status": "running", "graph_name": "gated_below"}
    assert (child["status"], child["graph_name"], child["namespace"][0].partition(":")[0]) == ("started", "sub", "sub")
    assert (await client.done("agent.getTree", run_id=run_id))["tree"]["children"] == [child]
    gate.open()


async def test_state_and_checkpoints(client: Client) -> None:
    await client.run("nested", {"x": "a"})
    events = await client.until()
    state = await client.done("state.get", namespace=[])
    assert state["values"] == of(events, "values", [])[-1]
    newest = of(events, "checkpoints", [])[-1]
    assert state["checkpoint"]["id"] == newest["id"]
    assert (await client.done("state.get", namespace=[], keys=["x", "none"]))["values"] == {"x": "a!!"}
    listed = (await client.done("state.listCheckpoints"))["checkpoints"]
    assert [(each["id"], each["step"]) for each in listed] == [
        (each["id"], each["step"]) for each in reversed(of(events, "checkpoints", []))
    ]
    page = (await client.done("state.listCheckpoints", limit=2, before=listed[1]["id"]))["checkpoints"]
    assert page == listed[2:4]
    assert (await client.command("state.get", namespace=["none:1"]))["error"] == "no_such_namespace"


async def test_the_state_of_messages(client: Client) -> None:
    await client.run("chat", {"messages": [{"role": "user", "content": "2"}]})
    events = await client.until()
    assert (await client.done("state.get"))["values"] == of(events, "values")[-1]


async def test_a_fork(client: Client, driver: Driver) -> None:
    await client.run("echo", {"x": "a"})
    first = await client.until()
    early = of(first, "checkpoints")[0]["id"]
    forked = await client.done("state.fork", checkpoint_id=early, input={"x": "b"})
    assert forked["thread_id"] == client.thread_id
    run = await driver.run(client.thread_id, forked["run_id"])
    assert run["kwargs"]["config"]["configurable"]["checkpoint_id"] == early
    async with client.events(since=first[-1]["seq"]) as events:
        again = await taken(events)
    assert kinds(again) == ["running", "completed"]
    assert of(again, "values")[-1]["x"] == "b!"
    answer = await client.command("state.fork", checkpoint_id=driver.new_id())
    assert answer["error"] == "no_such_checkpoint"
