"""Reading the state of a thread: `GET /threads/{id}/state` and its relatives."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

NEVER_RAN: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


async def read(client: Any, thread_id: str, path: str = "", **params: Any) -> Any:
    answer = await client.get(f"/threads/{thread_id}/state{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read_at(client: Any, thread_id: str, checkpoint: Any, **fields: Any) -> Any:
    answer = await client.post(f"/threads/{thread_id}/state/checkpoint", json={"checkpoint": checkpoint, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_state_of_a_finished_run(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat")
    await server.run("chat", thread_id, {"messages": [{"role": "user", "content": "hi"}], "topic": "greeting"})
    state = await read(client, thread_id)
    assert [(m["type"], m["content"]) for m in state["values"]["messages"]] == [("human", "hi"), ("ai", "reply to hi")]
    assert state["values"]["topic"] == "greeting"
    assert (state["next"], state["tasks"], state["interrupts"]) == ([], [], [])
    assert state["metadata"]["source"] == "loop"
    assert state["metadata"]["step"] == 1
    assert state["metadata"]["thread_id"] == thread_id
    assert state["checkpoint"] == {
        "thread_id": thread_id,
        "checkpoint_ns": "",
        "checkpoint_id": state["checkpoint_id"],
    }
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"]
    assert state["parent_checkpoint_id"] < state["checkpoint_id"]
    assert state["created_at"].endswith("+00:00")


@pytest.mark.parametrize("graph_id", [None, "chat"])
async def test_a_thread_that_never_ran_has_the_empty_state(server: Any, client: Any, graph_id: str | None) -> None:
    assert await read(client, await server.thread(graph_id)) == NEVER_RAN


@pytest.mark.parametrize("graph_id", [None, "chat"])
async def test_an_unknown_checkpoint_is_empty_and_named_in_the_answer(
    server: Any, client: Any, graph_id: str | None
) -> None:
    thread_id = await server.thread(graph_id)
    unknown = str(uuid4())
    state = await read(client, thread_id, f"/{unknown}")
    assert state["checkpoint_id"] == unknown
    assert state["checkpoint"] == {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": unknown}
    assert (state["values"], state["next"], state["created_at"]) == ({}, [], None)


async def test_without_a_graph_in_the_metadata_that_of_the_newest_run_counts(server: Any, client: Any) -> None:
    thread_id = await server.thread(None)
    await server.run("chat", thread_id, {"messages": ["hi"]})
    await server.run_row(thread_id, "success", "approval")
    await server.run_row(thread_id, "success", "chat")
    assert len((await read(client, thread_id))["values"]["messages"]) == 2


async def test_an_interrupt_waits_in_its_task_and_in_the_state(server: Any, client: Any) -> None:
    thread_id = await server.thread("approval")
    await server.run("approval", thread_id, {"log": ["start"]})
    state = await read(client, thread_id)
    [task] = state["tasks"]
    [interrupt] = state["interrupts"]
    assert state["next"] == ["ask"]
    assert task["name"] == "ask"
    assert task["path"] == ["__pregel_pull", "ask"]
    assert task["interrupts"] == [interrupt]
    assert interrupt["value"] == {"question": "go on?"}
    assert set(interrupt) == {"id", "value"}
    assert (task["error"], task["checkpoint"], task["state"], task["result"]) == (None, None, None, None)


async def test_an_interrupt_says_what_it_takes_for_an_answer(server: Any, client: Any) -> None:
    thread_id = await server.thread("typed")
    await server.run("typed", thread_id, {"log": []})
    [interrupt] = (await read(client, thread_id))["interrupts"]
    assert interrupt["response_schema"] == {"type": "boolean"}


async def test_an_earlier_checkpoint_by_id_shows_the_step_as_it_was(server: Any, client: Any) -> None:
    thread_id = await server.thread("approval")
    await server.run("approval", thread_id, {"log": ["start"]})
    newest = await read(client, thread_id)
    parent = await read(client, thread_id, f"/{newest['parent_checkpoint_id'].upper()}")
    assert parent["values"] == {"log": ["start"]}
    assert parent["next"] == ["prepare"]
    assert [task["name"] for task in parent["tasks"]] == ["prepare"]
    assert parent["tasks"][0]["result"] == {"log": ["prepared"]}
    assert await read_at(client, thread_id, newest["parent_checkpoint"]) == parent


async def test_parallel_branches_are_tasks_of_one_step(server: Any, client: Any) -> None:
    thread_id = await server.thread("parallel")
    await server.run("parallel", thread_id, {"log": ["start"]})
    newest = await read(client, thread_id)
    assert newest["values"]["log"] == ["start", "left", "right"]
    before = await read(client, thread_id, f"/{newest['parent_checkpoint_id']}")
    assert {task["name"]: task["result"] for task in before["tasks"]} == {
        "left": {"log": ["left"]},
        "right": {"log": ["right"]},
    }


async def test_a_failed_send_is_a_task_with_the_repr_of_its_error(server: Any, client: Any) -> None:
    thread_id = await server.thread("fan")
    with pytest.raises(ValueError, match="cannot take"):
        await server.run("fan", thread_id, {"items": [2, -1]})
    state = await read(client, thread_id)
    errors = [task["error"] for task in state["tasks"]]
    assert [task["name"] for task in state["tasks"]] == ["square", "square"]
    assert [task["path"][0] for task in state["tasks"]] == ["__pregel_push", "__pregel_push"]
    assert "ValueError('cannot take -1')" in errors


async def test_a_functional_workflow_has_the_value_it_saved(server: Any, client: Any) -> None:
    thread_id = await server.thread("workflow")
    await server.run("workflow", thread_id, 3)
    await server.run("workflow", thread_id, 4)
    assert (await read(client, thread_id))["values"] == 14


class TestSubgraphs:
    async def test_a_pending_subgraph_is_addressed_by_its_task(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {"log": ["start"]})
        [task] = (await read(client, thread_id))["tasks"]
        assert task["state"] is None
        assert task["checkpoint"] == {"thread_id": thread_id, "checkpoint_ns": f"middle:{task['id']}"}

    @pytest.mark.parametrize("flag", ["true", "True"])
    async def test_states_nest_as_deep_as_the_graphs(self, server: Any, client: Any, flag: str) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {"log": ["start"]})
        state = await read(client, thread_id, subgraphs=flag)
        [middle] = state["tasks"]
        [inner] = middle["state"]["tasks"]
        [ask] = inner["state"]["tasks"]
        assert (middle["name"], inner["name"], ask["name"]) == ("middle", "inner", "ask")
        assert middle["checkpoint"] is None
        assert middle["state"]["values"]["log"] == ["start", "middle"]
        namespace = f"middle:{middle['id']}|inner:{inner['id']}"
        assert inner["state"]["checkpoint"]["checkpoint_ns"] == namespace
        assert set(inner["state"]["checkpoint"]["checkpoint_map"]) == {"", f"middle:{middle['id']}", namespace}
        assert ask["interrupts"] == state["interrupts"]

    @pytest.mark.parametrize("flag", ["1", "yes", "false", ""])
    async def test_only_true_asks_for_them(self, server: Any, client: Any, flag: str) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {})
        [task] = (await read(client, thread_id, subgraphs=flag))["tasks"]
        assert task["state"] is None

    async def test_a_namespace_gives_the_state_of_the_subgraph(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {"log": ["start"]})
        [task] = (await read(client, thread_id))["tasks"]
        middle = await read_at(client, thread_id, task["checkpoint"], subgraphs=True)
        assert middle["next"] == ["inner"]
        assert middle["values"]["log"] == ["start", "middle"]
        assert middle["tasks"][0]["state"]["next"] == ["ask"]
        inner = await read_at(
            client, thread_id, {"checkpoint_ns": f"middle:{task['id']}|inner:{middle['tasks'][0]['id']}"}
        )
        assert inner["next"] == ["ask"]

    async def test_a_checkpoint_map_says_which_checkpoint_of_the_namespace(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {"log": ["start"]})
        [task] = (await read(client, thread_id))["tasks"]
        newest = await read_at(client, thread_id, task["checkpoint"])
        earlier = newest["parent_checkpoint"]
        by_map = {"checkpoint_ns": earlier["checkpoint_ns"], "checkpoint_map": earlier["checkpoint_map"]}
        assert (await read_at(client, thread_id, by_map))["checkpoint_id"] == earlier["checkpoint_id"]


async def test_the_graph_gets_the_configurables_of_the_thread_but_no_checkpoint_of_it(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat", checkpoint_id=str(uuid4()), checkpoint_ns="elsewhere", model="m")
    await server.run("chat", thread_id, {"messages": ["hi"]})
    assert len((await read(client, thread_id))["values"]["messages"]) == 2


class TestRefused:
    async def test_an_unknown_thread(self, client: Any) -> None:
        for answer in (
            await client.get(f"/threads/{uuid4()}/state"),
            await client.get(f"/threads/{uuid4()}/state/{uuid4()}"),
            await client.post(f"/threads/{uuid4()}/state/checkpoint", json={"checkpoint": {}}),
        ):
            assert answer.status_code == 404
            assert isinstance(answer.json()["detail"], str)

    async def test_ids_that_are_not_uuids(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("chat")
        for answer in (
            await client.get("/threads/nonsense/state"),
            await client.get(f"/threads/{thread_id}/state/nonsense"),
            await client.post(f"/threads/{thread_id}/state/checkpoint", json={"checkpoint": {"checkpoint_id": "no"}}),
        ):
            assert answer.status_code == 422
            assert "UUID" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "body", [{}, {"checkpoint": None}, {"checkpoint": "x"}, {"checkpoint": {}, "subgraphs": "true"}]
    )
    async def test_bodies_that_are_not_of_the_contract(self, server: Any, client: Any, body: Any) -> None:
        answer = await client.post(f"/threads/{await server.thread('chat')}/state/checkpoint", json=body)
        assert answer.status_code == 422

    async def test_a_checkpoint_of_another_thread(self, server: Any, client: Any) -> None:
        thread_id, other = await server.thread("chat"), str(uuid4())
        answer = await client.post(f"/threads/{thread_id}/state/checkpoint", json={"checkpoint": {"thread_id": other}})
        assert answer.status_code == 422
        assert other in answer.json()["detail"]

    async def test_a_graph_that_the_server_does_not_have(self, server: Any, client: Any) -> None:
        answer = await client.get(f"/threads/{await server.thread('gone')}/state")
        assert answer.status_code == 404
        assert "gone" in answer.json()["detail"]


async def test_select_is_never_refused(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat")
    assert await read(client, thread_id, select=["values.topic", "nonsense"]) == NEVER_RAN
    assert await read_at(client, thread_id, {}, select=["nonsense"]) == NEVER_RAN
