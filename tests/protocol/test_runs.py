"""A run from ``run.start`` to its end, as its events tell it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.driver import Driver
from tests.protocol.client import ALL, Client, at, ended, kinds, of, taken

SPEAK = {"messages": [{"role": "user", "content": "3"}]}


async def test_every_channel_of_a_chat(client: Client) -> None:
    run_id = await client.run("chat", SPEAK)
    events = await client.until()
    assert kinds(events) == ["running", "completed"]
    assert [events[0]["event_id"], events[-1]["event_id"]] == [
        f"synth:{run_id}:lc||running",
        f"synth:{run_id}:lc||completed",
    ]
    assert of(events, "lifecycle") == [{"event": kind, "graph_name": "chat"} for kind in ("running", "completed")]
    numbers = [each["seq"] for each in events]
    assert numbers == sorted(set(numbers))
    assert len({each["event_id"] for each in events}) == len(events)
    question, answer = of(events, "values")[-1]["messages"]
    assert question == {"type": "human", "content": "3", "id": question["id"]}
    assert answer == {"type": "ai", "content": "w0 w1 w2", "id": answer["id"]}
    [update] = of(events, "updates")
    assert update == {"node": "talk", "values": {"messages": [answer]}}
    assert [set(each) >= {"id", "step", "source"} for each in of(events, "checkpoints")] == [True] * 3
    assert [each.get("parent_id") for each in of(events, "checkpoints")][1:] == [
        each["id"] for each in of(events, "checkpoints")
    ][:-1]
    start, end = of(events, "tasks")
    assert (start["id"], start["name"], "result" in start, "result" in end) == (end["id"], "talk", False, True)


async def test_a_message_comes_as_content_blocks(client: Client) -> None:
    await client.run("chat", SPEAK)
    events = await client.until(channels=["messages", "lifecycle"])
    parts = [each["params"]["data"] for each in events if each["method"] == "messages"]
    assert [each["event"] for each in parts] == [
        *("message-start", "content-block-start"),
        *["content-block-delta"] * 5,
        *("content-block-finish", "message-finish"),
    ]
    assert parts[0]["role"] == "ai"
    assert parts[1]["content"] == {"type": "text", "text": ""}
    assert "".join(each["delta"]["text"] for each in parts[2:7]) == "w0 w1 w2"
    assert {each["delta"]["type"] for each in parts[2:7]} == {"text-delta"}
    assert parts[7]["content"] == {"type": "text", "text": "w0 w1 w2"}
    assert {each["params"]["node"] for each in events if each["method"] == "messages"} == {"talk"}
    assert parts[0]["id"] == of(await client.until(), "values")[-1]["messages"][-1]["id"]


async def test_whole_messages_and_tool_results_are_told_once(client: Client) -> None:
    await client.run("tools", SPEAK)
    events = await client.until()
    starts = [(at(e), d["role"], d["id"]) for e in events if (d := e["params"]["data"]).get("event") == "message-start"]
    assert starts == [((), "ai", "call"), (("tools:call-1",), "tool", "found"), ((), "ai", "spoken")]
    finished = [each["content"] for each in of(events, "messages") if each["event"] == "content-block-finish"]
    assert {"type": "tool_call", "name": "look_up", "args": {"q": "x"}, "id": "call-1"}.items() <= finished[0].items()
    assert [each["text"] for each in finished[1:]] == ["found", "one two"]


async def test_parallel_messages_can_be_told_apart(client: Client) -> None:
    await client.run("choir", {"messages": []})
    parts = of(await client.until(channels=["messages", "lifecycle"]), "messages")
    starts = {each["run_id"]: each["id"] for each in parts if each["event"] == "message-start"}
    assert len(starts) == 3
    said = {
        run_id: "".join(each["delta"]["text"] for each in parts if each["run_id"] == run_id and "delta" in each)
        for run_id in starts
    }
    assert sorted(said.values()) == ["voice 0", "voice 1", "voice 2"]


async def test_tools_tell_their_life(client: Client) -> None:
    await client.run("agent", SPEAK)
    events = await client.until()
    assert kinds(events) == ["running", "completed"]
    calls: dict[str, list[Any]] = {"call-ok": [], "call-bad": []}
    for each in of(events, "tools"):
        calls[each["tool_call_id"]].append(each)
    good, bad = calls.values()
    assert [each["event"] for each in good] == ["tool-started", "tool-output-delta", "tool-finished"]
    assert [each["event"] for each in bad] == ["tool-started", "tool-error"]
    assert (good[0]["tool_name"], good[0]["input"]) == ("look", {"what": "ok"})
    assert good[1]["delta"] == "half"
    assert good[2]["output"]["content"] == "found ok"
    assert "no luck" in bad[1]["message"]


async def test_custom_events(client: Client) -> None:
    await client.run("custom", {"x": "a"})
    events = await client.until(channels=["custom", "lifecycle"])
    assert of(events, "custom") == [{"payload": {"progress": 1}}, {"payload": {"progress": 2}}]


async def test_a_subgraph_has_a_namespace_and_a_life(client: Client) -> None:
    await client.run("nested", {"x": "a"})
    events = await client.until()
    life = [(at(e), e["params"]["data"]) for e in events if e["method"] == "lifecycle"]
    (_, first), (namespace, started), (_, completed), (_, last) = life
    assert (first["event"], last["event"]) == ("running", "completed")
    name, _, task_id = namespace[0].partition(":")
    assert name == started["graph_name"] == "sub"
    assert (started["event"], completed["event"]) == ("started", "completed")
    assert started["trigger_call_id"] == task_id
    assert started["namespace"] == [*namespace]
    assert of(events, "values", [*namespace])[-1]["log"] == ["one", "two"]
    order = [(at(e), e["method"], e["params"]["data"].get("event")) for e in events]
    below = [index for index, (where, method, _) in enumerate(order) if where and method in ("updates", "tasks")]
    assert order.index((namespace, "lifecycle", "started")) < below[0]
    assert order.index((namespace, "lifecycle", "completed")) > below[-1]


async def test_filters_by_channel_namespace_and_depth(client: Client) -> None:
    await client.run("nested", {"x": "a"})
    everything = await client.until()
    [inner] = {at(e) for e in everything if at(e)}

    async def seen(**body: object) -> list[str]:
        async with client.events(**body) as events:  # type: ignore[arg-type]
            wanted = [e["event_id"] for e in everything if self_wants(e, **body)]
            return [e["event_id"] for e in await taken(events, lambda e: e["event_id"] == wanted[-1])]

    def self_wants(event: dict, channels=ALL, namespaces=None, depth=None) -> bool:  # type: ignore[no-untyped-def,type-arg]
        inside = at(event) == inner
        below = [(not prefix) if not inside else prefix in ([], ["sub"], [*inner]) for prefix in namespaces or [[]]]
        deep = depth is None or not inside or any(len(inner) - len(p) <= depth for p in namespaces or [[]])
        return event["method"] in channels and any(below) and deep

    for body in (
        {"channels": ["values"]},
        {"channels": ["updates", "tasks"], "namespaces": [["sub"]]},
        {"namespaces": [[*inner]]},
        {"depth": 0},
        {"namespaces": [[]], "depth": 0},
        {"namespaces": [[]], "depth": 1},
        {"channels": ["values"], "namespaces": [["sub"]], "depth": 0},
    ):
        expected = [e["event_id"] for e in everything if self_wants(e, **body)]
        assert await seen(**body) == expected, body


async def test_a_failure_is_told_live_and_replayed(client: Client) -> None:
    async with client.events() as events:
        await client.run("failing", {"x": "a"})
        live = await taken(events)
    assert live[-1]["params"]["data"] == {"event": "failed", "graph_name": "failing", "error": "the node failed"}
    assert await client.until() == live


async def test_a_cancelled_run_ends_interrupted(client: Client, driver: Driver) -> None:
    run_id = await client.run("sleeper", {"n": 60})
    async with client.events() as events:
        await taken(events, lambda e: e["method"] == "updates")
        assert (await driver.cancel(client.thread_id, run_id)).is_success
        live = await taken(events)
    assert live[-1]["params"]["data"]["event"] == "interrupted"
    assert kinds(await client.until()) == ["running", "interrupted"]


async def test_the_stream_goes_on_over_runs_of_every_kind(client: Client, driver: Driver) -> None:
    async with client.events() as events:
        first = await client.run("echo", {"x": "a"})
        await taken(events)
        second = (await driver.start(client.thread_id, "echo", {"x": "b"}))["run_id"]
        old = await taken(events)
        third = await client.run("echo", {"x": "c"})
        await taken(events)
    assert len({first, second, third}) == 3
    assert kinds(old) == ["running", "completed"]
    assert old[0]["event_id"] == f"synth:{second}:lc||running"
    assert of(old, "values")[-1]["x"] == "b!"


async def test_older_clients_follow_such_a_run_as_any_other(client: Client, driver: Driver) -> None:
    run_id = await client.run("chat", SPEAK)
    await driver.join(client.thread_id, run_id)
    joined = await driver.rejoin(client.thread_id, run_id, "-1")
    assert {each.name for each in joined} == {"metadata", "values", "updates", "tasks", "checkpoints"}
    assert "additional_kwargs" in [each for each in joined if each.name == "values"][-1].data["messages"][-1]
    path, names = f"/threads/{client.thread_id}/stream", []
    async with driver.streaming("GET", path, headers={"Last-Event-ID": "-"}) as old:
        async for event in old:
            names.append(event.name)
            if names.count("checkpoints") == 3:
                break
    assert not [name for name in names if name.startswith("v2:")]


async def test_two_readers_see_the_same(client: Client) -> None:
    async with client.events() as one, client.events() as other:
        await client.run("nested", {"x": "a"})
        first, second = await asyncio.gather(taken(one), taken(other))
    assert first == second == await client.until()
    assert ended(first[-1])


async def test_a_subagent_names_the_tool_call_that_it_works_for(client: Client) -> None:
    await client.run("delegating", SPEAK)
    events = await client.until()
    [started] = [d for d in of(events, "lifecycle") if d["event"] == "started"]
    assert started["graph_name"] == "helper"
    assert started["cause"] == {"type": "toolCall", "tool_call_id": "call-delegate"}
    namespace = started["namespace"]
    assert [segment.partition(":")[0] for segment in namespace] == ["tools"]
    said = [d["delta"]["text"] for d in of(events, "messages", namespace) if "delta" in d]
    assert "".join(said) == "found it"
    assert [d["event"] for d in of(events, "lifecycle", namespace)] == ["started", "completed"]
    assert [d["event"] for d in of(events, "tools")] == ["tool-started", "tool-finished"]


async def test_errors_of_user_code_give_nothing_away(client: Client) -> None:
    call = {"name": "look", "args": {"what": "secret"}, "id": "call-secret"}
    await client.run("looking", {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]})
    events = await client.until()
    assert kinds(events) == ["running", "failed"]
    [started, failed] = of(events, "tools")
    assert (started["event"], failed["event"], failed["message"]) == (
        *("tool-started", "tool-error"),
        "An internal error occurred",
    )
    assert [d["error"] for d in of(events, "tasks") if d.get("error")] == [
        "Secretive('An internal error occurred')"
    ] * 2
    assert "password" not in str(events)
