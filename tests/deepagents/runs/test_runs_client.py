"""Runs of agents by the vendor's client."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from managed_deepagents import AsyncClient, Client, ManagedDeepAgentsAPIError
from starlette.applications import Starlette

from tests.conftest import project_config
from tests.deepagents.conftest import BASE
from tests.deepagents.runs.conftest import GATED, Desk, words
from tests.live import listening
from waystation.app import create_app

SUBAGENT = {"name": "courier", "description": "carries", "instructions": "Carry."}


async def refused(call: Any) -> tuple[int, str | None, str]:
    """Status, code and detail of the error that a call comes to."""
    with pytest.raises(ManagedDeepAgentsAPIError) as caught:
        await call
    return caught.value.status_code, caught.value.code, str(caught.value.detail)


async def streamed(desk: Desk, thread_id: str, agent_id: str, text: str, **more: Any) -> list[Any]:
    return [
        event async for event in desk.managed.threads.stream(thread_id, agent_id=agent_id, messages=words(text), **more)
    ]


async def test_invoke_answers_the_run_and_not_its_result(desk: Desk) -> None:
    agent = await desk.agent()
    run = await desk.managed.threads.invoke(agent_id=agent, messages=words("Hello"))
    assert (run["status"], run["assistant_id"]) == ("pending", agent)
    assert (await desk.answer(run)).startswith("[demo model] You said: 'Hello'")
    assert await desk.status(run["thread_id"]) == "idle"


async def test_a_stream_has_metadata_then_what_was_asked_for(desk: Desk) -> None:
    agent = await desk.agent(subagents=[SUBAGENT])
    thread = await desk.thread(agent)
    events = await streamed(desk, thread, agent, "Hello", stream_mode=["messages-tuple", "updates"])
    assert (events[0].event, events[0].data["attempt"]) == ("metadata", 1)
    assert {event.event for event in events[1:]} == {"messages", "updates"}
    chunks = [event.data for event in events if event.event == "messages"]
    assert all(len(chunk) == 2 for chunk in chunks)
    assert "".join(chunk["content"] for chunk, _ in chunks).startswith("[demo model] You said: 'Hello'")
    values = await streamed(desk, thread, agent, "Again")
    assert {event.event for event in values} == {"metadata", "values"}
    nested = await streamed(
        desk, thread, agent, "ask courier: write a.txt: hi", stream_mode="updates", stream_subgraphs=True
    )
    assert any(event.event.startswith("updates|tools:") for event in nested)


@pytest.mark.parametrize("mode", ["values", "updates", "messages-tuple"])
async def test_a_pause_is_seen_in_each_mode(desk: Desk, mode: str) -> None:
    agent = await desk.agent(tools=GATED)
    thread = await desk.thread(agent)
    events = await streamed(desk, thread, agent, "write a.txt: hi", stream_mode=[mode])
    interrupts = [event.data["__interrupt__"] for event in events if "__interrupt__" in (event.data or ())]
    assert interrupts[-1][0]["value"]["action_requests"][0]["args"] == {"file_path": "/a.txt", "content": "hi"}
    found = await desk.managed.threads.get(thread)
    assert (found["status"], found["has_interrupts"]) == ("interrupted", True)
    assert (await desk.managed.threads.count())["attention_count"] == 1


async def test_a_thread_comes_with_its_run(desk: Desk) -> None:
    agent = await desk.agent()
    wanted = str(uuid4())
    new: dict[str, Any] = {"thread_id": wanted, "metadata": {"team": "a"}, "options": {"test_run": True}}
    body: dict[str, Any] = {"agent_id": agent, "thread": new, "input": {"messages": words("Hello")}}
    run = await desk.managed.threads.create_and_run(body)
    assert run["thread_id"] == wanted
    await desk.answer(run)
    metadata = (await desk.managed.threads.get(wanted))["metadata"]
    assert (metadata["team"], metadata["is_test_run"]) == ("a", True)
    assert (await refused(desk.managed.threads.create_and_run(body)))[0] == 409
    new["if_exists"] = "do_nothing"
    assert await desk.answer(await desk.managed.threads.create_and_run(body))


async def test_a_thread_whose_run_cannot_start_is_not_made(desk: Desk) -> None:
    agent = await desk.agent()
    wanted = str(uuid4())
    body: dict[str, Any] = {
        "agent_id": agent,
        "thread": {"thread_id": wanted},
        "command": {"resume": {"decisions": []}},
    }
    assert (await refused(desk.managed.threads.create_and_run(body)))[0] == 409
    assert (await refused(desk.managed.threads.get(wanted)))[:2] == (404, "thread_not_found")
    body["agent_id"] = str(uuid4())
    assert (await refused(desk.managed.threads.create_and_run(body)))[:2] == (404, "agent_not_found")


async def test_whose_run_it_is_has_to_be_clear(desk: Desk) -> None:
    agent, other = await desk.agent(), await desk.agent()
    thread = await desk.thread(agent)
    create, said = desk.managed.threads.create_run, {"input": {"messages": words("Hello")}}
    assert (await refused(create(thread, said)))[:2] == (400, "missing_required_field")
    assert (await refused(create(thread, agent_id=agent, assistant_id=other, **said)))[0] == 400
    assert "another agent" in (await refused(create(thread, agent_id=other, **said)))[2]
    assert await desk.answer(await create(thread, agent_id=agent, assistant_id=agent, **said))
    response = await desk.http.post(f"{BASE}/threads/{thread}/runs/stream", json={"assistant_id": agent, **said})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request_body")
    for unknown in (str(uuid4()), "nonsense"):
        assert (await refused(create(unknown, agent_id=agent, **said)))[:2] == (404, "thread_not_found")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ({"input": {"messages": []}}, 400),
        ({"input": {"messages": "Hello"}}, 400),
        ({"input": {"messages": ["Hello"]}}, 400),
        ({"input": {"messages": [{"role": "user"}]}}, 400),
        ({"input": {"messages": [{"role": "king", "content": "x"}]}}, 400),
        ({"input": {"messages": words("x"), "memory_contents": {}}}, 422),
        ({"input": {"messages": words("x")}, "messages": words("y")}, 422),
        ({"input": {"messages": words("x")}, "command": {"resume": {"decisions": []}}}, 422),
        ({"messages": words("x"), "stream_mode": "all"}, 422),
        ({"messages": words("x"), "multitask_strategy": "wait"}, 422),
        ({"messages": words("x"), "if_not_exists": "create"}, 422),
        ({"messages": words("x"), "webhook": "nonsense"}, 422),
    ],
)
async def test_what_is_no_run_is_refused_before_the_stream(desk: Desk, given: dict[str, Any], status: int) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    response = await desk.http.post(f"{BASE}/threads/{thread}/runs/stream", json={"agent_id": agent, **given})
    assert response.status_code == status, response.text
    assert set(response.json()) == {"type", "code", "detail", "status"}
    assert await desk.status(thread) == "idle"


async def test_messages_may_stand_at_the_top(desk: Desk) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    body: dict[str, Any] = {"agent_id": agent, "messages": words("Hello"), "stream_mode": "updates"}
    response = await desk.http.post(f"{BASE}/threads/{thread}/runs/stream", json=body)
    assert response.status_code == 200
    assert "event: updates" in response.text
    assert response.headers["content-location"].startswith(f"{BASE}/threads/{thread}/runs/")
    fleet = await desk.http.post(f"/v1/fleet/threads/{thread}/runs", json=body)
    assert fleet.headers["content-location"].startswith(f"/v1/fleet/threads/{thread}/runs/")


async def test_an_agent_that_is_gone_leaves_its_threads(desk: Desk) -> None:
    agent = await desk.agent(tools=GATED)
    thread = await desk.thread(agent)
    assert await desk.say(thread, agent, "write a.txt: hi") == ""
    await desk.managed.agents.delete(agent)
    gone = (502, "upstream_auth_failed")
    said: dict[str, Any] = {"agent_id": agent, "input": {"messages": words("Hello")}}
    assert (await refused(desk.managed.threads.create_run(thread, said)))[:2] == gone
    assert (await refused(streamed(desk, thread, agent, "Hello")))[:2] == gone
    again = {"thread_id": thread, "if_exists": "do_nothing"}
    assert (await refused(desk.managed.threads.create_and_run(said, thread=again)))[:2] == gone
    state = await desk.state(thread)
    assert (state["next"], len(state["interrupts"])) == (["HumanInTheLoopMiddleware.after_model"], 1)
    assert (await desk.http.get(f"{BASE}/threads/{thread}/history")).json()[0] == state
    await desk.managed.threads.resolve_interrupt(thread)
    assert await desk.status(thread) == "idle"


async def test_a_run_whose_agent_goes_while_it_waits_fails_with_the_reason(desk: Desk) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    run = await desk.managed.threads.invoke(
        agent_id=agent, thread_id=thread, messages=words("Hello"), after_seconds=0.3
    )
    await desk.managed.agents.delete(agent)
    result = (await desk.http.get(f"{BASE}/threads/{thread}/runs/{run['run_id']}/join")).json()
    assert result["__error__"]["error"] == "AgentDeleted"
    assert "was deleted" in result["__error__"]["message"]
    assert await desk.status(thread) == "error"


async def test_a_model_without_a_key_is_told_in_the_stream(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = await desk.agent(model="openai:gpt-test")
    thread = await desk.thread(agent)
    last = (await streamed(desk, thread, agent, "Hello"))[-1]
    assert (last.event, last.data["error"]) == ("error", "ModelUnavailable")
    assert "OPENAI_API_KEY" in last.data["message"]


async def test_runs_can_be_listed_joined_and_cancelled(desk: Desk) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    await desk.say(thread, agent, "Hello")
    waiting = await desk.managed.threads.invoke(
        agent_id=agent, thread_id=thread, messages=words("Later"), after_seconds=600
    )
    runs = f"{BASE}/threads/{thread}/runs"
    listed = (await desk.http.get(runs)).json()
    assert [run["status"] for run in listed] == ["pending", "success"]
    run = f"{runs}/{waiting['run_id']}"
    assert (await desk.http.get(run)).json() == listed[0]
    assert (await desk.http.post(f"{run}/cancel")).status_code == 202
    assert (await desk.http.get(run)).json()["status"] == "interrupted"
    assert (await desk.http.get(f"{run}/stream")).status_code == 200
    assert (await desk.http.get(f"{runs}/{uuid4()}")).status_code == 404
    for path in ("state", "history", "runs", f"runs/{waiting['run_id']}/join"):
        response = await desk.http.get(f"{BASE}/threads/{uuid4()}/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "thread_not_found"), path


def test_the_synchronous_client(tmp_path: Any) -> None:
    server = create_app(project_config(tmp_path, default_model="demo:chat", heartbeat_s=0.2))
    with listening(server) as live, Client(api_url=live.url) as client:
        agent = client.agents.create(name="clerk", tools=GATED)["id"]
        thread = client.threads.create(agent_id=agent)["id"]
        events = list(client.threads.stream(thread, agent_id=agent, messages=words("Hello"), stream_mode=["values"]))
        assert events[-1].data["messages"][-1]["content"].startswith("[demo model]")
        list(client.threads.stream(thread, agent_id=agent, messages=words("write a.txt: x")))
        client.threads.resolve_interrupt(thread)
        with pytest.raises(ManagedDeepAgentsAPIError) as caught:
            client.threads.resolve_interrupt(thread)
        assert caught.value.status_code == 409
        run = client.threads.create_and_run(agent_id=agent, input={"messages": words("Hello")})
        assert client.threads.get(run["thread_id"])["agent_id"] == agent
        assert client.threads.invoke(agent_id=agent, messages=words("Hi"))["status"] == "pending"


async def test_one_of_several_who_resolve_wins(desk: Desk) -> None:
    agent = await desk.agent(tools=GATED)
    thread = await desk.thread(agent)
    await desk.say(thread, agent, "write a.txt: hi")
    path = f"{BASE}/threads/{thread}/resolve-interrupt"
    answers = await asyncio.gather(*(desk.http.post(path, json={}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 409, 409, 409]
    assert await desk.status(thread) == "idle"
    assert await desk.files(thread) == {}
    assert await desk.say(thread, agent, "Hello")


async def test_resolving_with_decisions_goes_on(desk: Desk) -> None:
    agent = await desk.agent(tools=GATED)
    thread = await desk.thread(agent)
    await desk.say(thread, agent, "write a.txt: hi")
    path = f"{BASE}/threads/{thread}/resolve-interrupt"
    wrong = await desk.http.post(path, json={"decisions": []})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "validation_error")
    assert (await desk.http.post(path, json={"decisions": [{"type": "approve"}]})).status_code == 204
    [newest, *_] = (await desk.http.get(f"{BASE}/threads/{thread}/runs")).json()
    await desk.answer(newest)
    assert await desk.files(thread) == {"/a.txt": "hi"}
    assert (await desk.http.post(f"{BASE}/threads/{uuid4()}/resolve-interrupt")).status_code == 404


async def test_heartbeats_keep_a_quiet_stream(desk: Desk, app: Starlette) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    response = await desk.http.post(
        f"{BASE}/threads/{thread}/runs/stream",
        json={"agent_id": agent, "messages": words("Hello"), "after_seconds": 1.2},
    )
    assert ": heartbeat" in response.text
    assert "event: values" in response.text
    assert isinstance(desk.managed, AsyncClient)
