"""What people decide about paused calls reaches the graph only if it fits, by either API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, UnprocessableEntityError

from tests.deepagents.conftest import BASE
from tests.deepagents.runs.conftest import GATED, Desk, words

APPROVE = {"type": "approve"}

COURIERS = [
    {"name": name, "description": "carries", "instructions": "Carry.", "tools": GATED} for name in ("ann", "bob")
]


async def paused(desk: Desk, text: str = "write a.txt: hi", **fields: Any) -> tuple[str, str]:
    """An agent, and a thread of it that waits."""
    agent = await desk.agent(**{"tools": GATED, **fields})
    thread = await desk.thread(agent)
    assert await desk.say(thread, agent, text) == ""
    return agent, thread


async def test_the_four_kinds(desk: Desk) -> None:
    agent, thread = await paused(desk)
    assert "write_file" in await desk.resume(thread, agent, APPROVE)
    assert await desk.files(thread) == {"/a.txt": "hi"}

    await desk.say(thread, agent, "write b.txt: hi")
    edited = {"name": "write_file", "args": {"file_path": "/c.txt", "content": "ho"}}
    await desk.resume(thread, agent, {"type": "edit", "edited_action": edited})
    assert await desk.files(thread) == {"/a.txt": "hi", "/c.txt": "ho"}

    await desk.say(thread, agent, "write d.txt: hi")
    assert "too short" in await desk.resume(thread, agent, {"type": "reject", "message": "too short"})
    await desk.say(thread, agent, "write d.txt: hi")
    assert "written elsewhere" in await desk.resume(thread, agent, {"type": "respond", "message": "written elsewhere"})
    assert await desk.files(thread) == {"/a.txt": "hi", "/c.txt": "ho"}


@pytest.mark.parametrize(
    "resume",
    [
        {"decisions": []},
        {"decisions": [APPROVE, APPROVE]},
        {"decisions": [{"type": "accept"}]},
        {"decisions": [{"type": "edit", "edited_action": {"name": "delete", "args": {}}}]},
        {"decisions": APPROVE},
        [APPROVE],
        True,
        "yes",
    ],
)
async def test_wrong_ones_leave_the_pause_as_it_is(desk: Desk, resume: Any) -> None:
    agent, thread = await paused(desk)
    for path in (f"{BASE}/threads/{thread}/runs", f"{BASE}/threads/{thread}/runs/stream"):
        body = {"agent_id": agent, "input": {"messages": []}, "command": {"resume": resume}}
        response = await desk.http.post(path, json=body)
        assert (response.status_code, response.json()["code"]) == (422, "validation_error"), response.text
    with pytest.raises(UnprocessableEntityError, match=r"command\.resume"):
        await desk.sdk.runs.create(thread, agent, command={"resume": resume})
    assert await desk.status(thread) == "interrupted"
    assert len((await desk.http.get(f"{BASE}/threads/{thread}/runs")).json()) == 1
    await desk.resume(thread, agent, APPROVE)
    assert await desk.files(thread) == {"/a.txt": "hi"}


async def test_nothing_to_decide_is_a_conflict(desk: Desk) -> None:
    agent = await desk.agent(tools=GATED)
    thread = await desk.thread(agent)
    command: Any = {"resume": {"decisions": [APPROVE]}}
    body = {"agent_id": agent, "command": command}
    response = await desk.http.post(f"{BASE}/threads/{thread}/runs", json=body)
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    with pytest.raises(ConflictError, match="nothing on this thread waits"):
        await desk.sdk.runs.create(thread, agent, command=command)
    await desk.say(thread, agent, "write a.txt: hi")
    later = await desk.managed.threads.create_run(thread, agent_id=agent, command=command, after_seconds=600)
    with pytest.raises(ConflictError, match="in flight"):
        await desk.sdk.runs.create(thread, agent, command=command)
    await desk.http.post(f"{BASE}/threads/{thread}/runs/{later['run_id']}/cancel")
    state = await desk.state(thread)
    with pytest.raises(UnprocessableEntityError, match="checkpoint"):
        await desk.sdk.runs.create(thread, agent, command=command, checkpoint_id=state["checkpoint"]["checkpoint_id"])


async def test_one_of_several_who_decide_wins(desk: Desk) -> None:
    agent, thread = await paused(desk)
    body = {"agent_id": agent, "command": {"resume": {"decisions": [APPROVE]}}}
    asked = (desk.http.post(f"{BASE}/threads/{thread}/runs", json=body) for _ in range(4))
    assert sorted(answer.status_code for answer in await asyncio.gather(*asked)) == [200, 409, 409, 409]


async def test_several_pauses_are_answered_by_their_ids(desk: Desk) -> None:
    agent, thread = await paused(
        desk, "ask ann: write a.txt: A && ask bob: write b.txt: B", tools={"tools": []}, subagents=COURIERS
    )
    interrupts = {
        each["value"]["action_requests"][0]["args"]["file_path"]: each["id"]
        for each in (await desk.state(thread))["interrupts"]
    }
    assert sorted(interrupts) == ["/a.txt", "/b.txt"]
    create = f"{BASE}/threads/{thread}/runs"
    plain = await desk.http.post(create, json={"agent_id": agent, "command": {"resume": {"decisions": [APPROVE]}}})
    assert plain.status_code == 422
    assert all(each in plain.json()["detail"] for each in interrupts.values())
    for path, decision in (("/b.txt", {"type": "reject"}), ("/a.txt", APPROVE)):
        command = {"resume": {interrupts[path]: {"decisions": [decision]}}}
        answer = await desk.answer(await desk.managed.threads.create_run(thread, agent_id=agent, command=command))
        assert (answer == "") is (path == "/b.txt")
    assert await desk.files(thread) == {"/a.txt": "A"}


async def test_a_pause_goes_on_as_it_began(desk: Desk) -> None:
    agent, thread = await paused(desk, system_prompt="One.")
    await desk.managed.agents.update(agent, tools={"tools": []}, system_prompt="Two.")
    await desk.sdk.runs.wait(thread, agent, command={"resume": {"decisions": [APPROVE]}})
    runs = await desk.sdk.runs.list(thread)
    pins: Any = [run["kwargs"]["config"]["configurable"]["__waystation_agent"]["revision"] for run in runs]  # type: ignore[typeddict-item]
    assert pins == [1, 1]
    assert await desk.say(thread, agent, "write b.txt: ungated")
    assert await desk.files(thread) == {"/a.txt": "hi", "/b.txt": "ungated"}


async def test_new_words_abandon_a_pause(desk: Desk) -> None:
    agent, thread = await paused(desk)
    assert "You said" in await desk.say(thread, agent, "Never mind.")
    assert await desk.status(thread) == "idle"
    assert await desk.files(thread) == {}


async def test_the_agent_servers_client_decides_too(desk: Desk) -> None:
    agent, thread = await paused(desk)
    command: Any = {"resume": {"decisions": [APPROVE]}}
    events = [event async for event in desk.sdk.runs.stream(thread, agent, command=command, stream_mode="updates")]
    assert events[-1].data
    assert await desk.files(thread) == {"/a.txt": "hi"}
    given: Any = {"messages": words("write b.txt: x")}
    paused_again: Any = await desk.sdk.runs.wait(thread, agent, input=given)
    assert paused_again["__interrupt__"][0]["value"]["action_requests"][0]["name"] == "write_file"
