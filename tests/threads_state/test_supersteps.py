"""Seeding a thread on creation: ``supersteps`` of `POST /threads` (spec 3.3)."""

from __future__ import annotations

from typing import Any

import pytest


async def create(client: Any, *supersteps: list[dict[str, Any]], graph_id: str | None = "chat", **fields: Any) -> Any:
    metadata = {"graph_id": graph_id} if graph_id else {}
    steps = [{"updates": updates} for updates in supersteps]
    return await client.post("/threads", json={"metadata": metadata, "supersteps": steps, **fields})


async def created(client: Any, *supersteps: list[dict[str, Any]], graph_id: str = "chat") -> Any:
    answer = await create(client, *supersteps, graph_id=graph_id)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def history_of(client: Any, thread_id: str) -> Any:
    return (await client.get(f"/threads/{thread_id}/history")).json()


async def test_a_conversation_is_replayed_step_by_step(server: Any, client: Any) -> None:
    thread = await created(
        client,
        [{"as_node": "__input__", "values": {"messages": [{"role": "user", "content": "hi"}]}}],
        [{"as_node": "__start__", "values": {"messages": [{"role": "user", "content": "hi"}]}, "command": None}],
        [{"as_node": "model", "values": {"messages": [{"role": "assistant", "content": "hello"}]}}],
    )
    assert thread["status"] == "idle"
    assert thread["values"]["messages"][-1]["content"] == "hello"
    states = await history_of(client, thread["thread_id"])
    assert [(state["metadata"]["source"], state["metadata"]["step"]) for state in states] == [
        ("update", 1),
        ("update", 0),
        ("input", -1),
    ]
    assert [state["next"] for state in states] == [[], ["model"], ["__start__"]]
    assert states[-1]["parent_checkpoint"] is None
    assert [(thread_id, state["checkpoint_id"]) for thread_id, state in server.streams.states] == [
        (thread["thread_id"], states[0]["checkpoint_id"])
    ]


async def test_a_thread_with_pending_nodes_is_interrupted(server: Any, client: Any) -> None:
    thread = await created(client, [{"as_node": "prepare", "values": {"log": ["x"]}}], graph_id="approval")
    assert thread["status"] == "interrupted"
    await server.run("approval", thread["thread_id"], None)
    [state] = (await client.post(f"/threads/{thread['thread_id']}/history", json={})).json()
    assert state["interrupts"][0]["value"] == {"question": "go on?"}


async def test_parallel_nodes_share_a_step(client: Any) -> None:
    both = [{"as_node": "left", "values": {"log": ["l"]}}, {"as_node": "right", "values": {"log": ["r"]}}]
    thread = await created(client, [{"as_node": "__start__", "values": {}}], both, graph_id="parallel")
    assert thread["values"]["log"] == ["l", "r"]
    assert len(await history_of(client, thread["thread_id"])) == 2


async def test_a_step_reads_the_sends_of_the_one_before(server: Any, client: Any) -> None:
    thread = await created(
        client,
        [{"as_node": "split", "values": {"items": [2, 3]}}],
        [{"as_node": "square", "values": {"squares": [4]}}, {"as_node": "square", "values": {"squares": [9]}}],
        graph_id="fan",
    )
    assert thread["values"]["squares"] == [4, 9]
    states = await history_of(client, thread["thread_id"])
    assert [task["result"] for task in states[1]["tasks"]] == [{"squares": [4]}, {"squares": [9]}]


class TestCommands:
    async def test_a_command_wins_over_values(self, client: Any) -> None:
        update = {"as_node": "prepare", "values": {"log": ["no"]}, "command": {"update": {"log": ["yes"]}}}
        assert (await created(client, [update], graph_id="approval"))["values"]["log"] == ["yes"]

    async def test_an_update_of_pairs(self, client: Any) -> None:
        command = {"update": [["log", ["a"]], ["log", ["b"]]]}
        thread = await created(client, [{"as_node": "prepare", "command": command}], graph_id="approval")
        assert thread["values"]["log"] == ["a", "b"]

    @pytest.mark.parametrize("goto", ["finish", ["finish"]])
    async def test_going_to_a_node(self, client: Any, goto: Any) -> None:
        thread = await created(client, [{"as_node": "finish", "command": {"goto": goto}}], graph_id="approval")
        [state] = await history_of(client, thread["thread_id"])
        assert state["next"] == ["finish"]

    @pytest.mark.parametrize("many", [False, True])
    async def test_sending_to_a_node(self, server: Any, client: Any, many: bool) -> None:
        send = {"node": "square", "input": {"item": 7}}
        command = {"goto": [send] if many else send}
        thread = await created(client, [{"as_node": "square", "command": command}], graph_id="fan")
        assert (await server.run("fan", thread["thread_id"], None))["squares"] == [49]

    async def test_going_nowhere(self, client: Any) -> None:
        answer = await create(client, [{"as_node": "finish", "command": {"goto": "nowhere"}}], graph_id="approval")
        assert answer.status_code == 400
        assert "nowhere" in answer.json()["detail"]

    async def test_resuming_means_nothing_here(self, client: Any) -> None:
        answer = await create(client, [{"as_node": "ask", "command": {"resume": "yes"}}], graph_id="approval")
        assert answer.status_code == 400
        assert "resume" in answer.json()["detail"]


class TestRefused:
    @pytest.mark.parametrize("graph_id", [None, "gone"])
    async def test_without_a_known_graph_the_thread_is_created_all_the_same(
        self, client: Any, graph_id: str | None
    ) -> None:
        thread_id = "00000000-0000-4000-8000-000000000001"
        answer = await create(client, [{"as_node": "model", "values": {}}], graph_id=graph_id, thread_id=thread_id)
        assert answer.status_code == 201
        assert isinstance(answer.json()["detail"], str)
        assert (await client.get(f"/threads/{thread_id}")).json()["status"] == "idle"

    async def test_an_unknown_node(self, client: Any) -> None:
        answer = await create(client, [{"as_node": "model", "values": {}}], [{"as_node": "nowhere", "values": {}}])
        assert answer.status_code == 400
        assert "nowhere" in answer.json()["detail"]

    async def test_a_step_that_fails_leaves_nothing_of_the_earlier_ones(self, server: Any, client: Any) -> None:
        thread_id = "00000000-0000-4000-8000-000000000001"
        good, bad = [{"as_node": "model", "values": {"messages": ["x"]}}], [{"as_node": "nowhere", "values": {}}]
        assert (await create(client, good, bad, thread_id=thread_id)).status_code == 400
        assert server.streams.states == []
        assert (await create(client, good, thread_id=thread_id)).status_code == 200
        assert len(await history_of(client, thread_id)) == 1

    async def test_a_step_without_updates(self, client: Any) -> None:
        assert (await create(client, [])).status_code == 400

    @pytest.mark.parametrize("update", [{}, {"values": {}}, {"as_node": 1}, {"as_node": "a", "values": "text"}])
    async def test_updates_that_are_not_of_the_contract(self, client: Any, update: Any) -> None:
        assert (await create(client, [update])).status_code == 422

    async def test_targets_that_mix_names_and_sends(self, client: Any) -> None:
        command = {"goto": ["finish", {"node": "finish", "input": {}}]}
        answer = await create(client, [{"as_node": "finish", "command": command}], graph_id="approval")
        assert answer.status_code == 422
