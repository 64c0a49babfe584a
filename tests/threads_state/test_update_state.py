"""Writing state: `POST /threads/{id}/state`."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest


async def write(client: Any, thread_id: str, **body: Any) -> Any:
    answer = await client.post(f"/threads/{thread_id}/state", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: Any, thread_id: str, status: int, **body: Any) -> str:
    answer = await client.post(f"/threads/{thread_id}/state", json=body)
    assert answer.status_code == status, answer.text
    detail: str = answer.json()["detail"]
    return detail


async def state_of(client: Any, thread_id: str, **params: Any) -> Any:
    return (await client.get(f"/threads/{thread_id}/state", params=params)).json()


async def history_of(client: Any, thread_id: str) -> Any:
    return (await client.get(f"/threads/{thread_id}/history")).json()


async def test_reducers_apply_as_though_the_node_had_returned_the_values(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat")
    await server.run("chat", thread_id, {"messages": ["hi"]})
    await write(client, thread_id, values={"messages": [{"role": "user", "content": "more"}]}, as_node="model")
    state = await state_of(client, thread_id)
    assert [m["content"] for m in state["values"]["messages"]] == ["hi", "reply to hi", "more"]
    assert state["next"] == []


async def test_the_answer_names_the_new_checkpoint(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat")
    answer = await write(client, thread_id, values={"topic": "x"})
    state = await state_of(client, thread_id)
    assert set(answer) == {"checkpoint", "configurable", "checkpoint_id"}
    assert answer["checkpoint"] == answer["configurable"] == state["checkpoint"]
    assert answer["checkpoint_id"] == state["checkpoint_id"]


async def test_the_metadata_of_a_state_write(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat", model="large", user_id="someone")
    await server.run("chat", thread_id, {"messages": ["hi"]})
    await write(client, thread_id, values={"topic": "x"}, as_node="model")
    assert (await state_of(client, thread_id))["metadata"] == {
        "source": "update",
        "step": 2,
        "parents": {},
        "graph_id": "chat",
        "thread_id": thread_id,
    }


async def test_the_node_is_inferred_from_what_ran_last(server: Any, client: Any) -> None:
    thread_id = await server.thread("approval")
    await server.run("approval", thread_id, {"log": ["start"]})
    await write(client, thread_id, values={"log": ["edited"]})
    state = await state_of(client, thread_id)
    assert state["values"]["log"] == ["start", "prepared", "edited"]
    assert state["next"] == ["ask"]


async def test_the_row_follows_the_state(server: Any, client: Any) -> None:
    thread_id = await server.thread("approval")
    before = await server.row(thread_id)
    await write(client, thread_id, values={"log": ["seeded"]}, as_node="prepare")
    pending = await server.row(thread_id)
    assert (pending["status"], pending["values"], pending["interrupts"]) == ("interrupted", {"log": ["seeded"]}, {})
    assert pending["state_updated_at"] > before["state_updated_at"]
    await write(client, thread_id, values={"log": ["done"]}, as_node="finish")
    assert (await server.row(thread_id))["status"] == "idle"


async def test_writing_as_another_node_takes_the_interrupt_back(server: Any, client: Any) -> None:
    thread_id = await server.thread("approval")
    await server.run("approval", thread_id, {"log": ["start"]})
    await write(client, thread_id, values={"answer": "by hand"}, as_node="ask")
    state = await state_of(client, thread_id)
    assert (state["values"]["answer"], state["next"], state["interrupts"]) == ("by hand", ["finish"], [])
    assert (await server.row(thread_id))["interrupts"] == {}
    assert (await server.run("approval", thread_id, None))["log"] == ["start", "prepared", "finished"]


async def test_the_new_state_is_published(server: Any, client: Any) -> None:
    thread_id = await server.thread("chat")
    await write(client, thread_id, values={"messages": ["hi"]})
    assert server.streams.states == [(thread_id, await state_of(client, thread_id))]


class TestForms:
    @pytest.mark.parametrize("body", [{}, {"values": None}, {"values": {}}, {"values": {"unknown": 1}}])
    async def test_nothing_to_write_still_makes_a_checkpoint(self, server: Any, client: Any, body: Any) -> None:
        thread_id = await server.thread("chat")
        await server.run("chat", thread_id, {"messages": ["hi"], "topic": "t"})
        before = await state_of(client, thread_id)
        await write(client, thread_id, **body)
        after = await state_of(client, thread_id)
        assert after["values"] == before["values"]
        assert after["parent_checkpoint_id"] == before["checkpoint_id"]

    async def test_null_as_the_end_clears_what_is_pending(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("approval")
        await server.run("approval", thread_id, {"log": ["start"]})
        await write(client, thread_id, values=None, as_node="__end__")
        state = await state_of(client, thread_id)
        assert (state["next"], state["tasks"], state["interrupts"]) == ([], [], [])
        assert state["values"]["log"] == ["start", "prepared"]
        assert (await server.row(thread_id))["status"] == "idle"

    async def test_a_list_for_a_graph_whose_state_is_none(self, server: Any, client: Any) -> None:
        assert "dict" in await refused(client, await server.thread("chat"), 400, values=["x"])

    async def test_a_list_for_a_workflow(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("workflow")
        await write(client, thread_id, values=[1, 2])
        assert (await state_of(client, thread_id))["values"] == [1, 2]
        assert (await server.row(thread_id))["values"] == [1, 2]

    @pytest.mark.parametrize("values", ["text", 5, True])
    async def test_a_scalar(self, server: Any, client: Any, values: Any) -> None:
        await refused(client, await server.thread("chat"), 422, values=values)

    async def test_as_input(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("chat")
        await write(client, thread_id, values={"messages": ["hi"]}, as_node="__input__")
        state = await state_of(client, thread_id)
        assert (state["next"], state["metadata"]["source"]) == (["__start__"], "input")
        assert len((await server.run("chat", thread_id, None))["messages"]) == 2

    async def test_as_a_node_that_sends(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("fan")
        await write(client, thread_id, values={"items": [2, 3]}, as_node="split")
        assert (await state_of(client, thread_id))["next"] == ["square", "square"]
        assert (await server.run("fan", thread_id, None))["squares"] == [4, 9]


class TestForks:
    async def test_from_a_checkpoint(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("chat")
        for text in ("one", "two"):
            await server.run("chat", thread_id, {"messages": [text]})
        base = (await history_of(client, thread_id))[3]
        await write(client, thread_id, values={"topic": "fork"}, as_node="model", checkpoint=base["checkpoint"])
        state = await state_of(client, thread_id)
        assert state["parent_checkpoint_id"] == base["checkpoint_id"]
        assert [m["content"] for m in state["values"]["messages"]] == ["one", "reply to one"]
        assert (await server.row(thread_id))["values"]["topic"] == "fork"

    async def test_by_the_deprecated_id(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("chat")
        await server.run("chat", thread_id, {"messages": ["one"]})
        base = (await history_of(client, thread_id))[1]["checkpoint_id"]
        await write(client, thread_id, values={"topic": "fork"}, as_node="model", checkpoint_id=base)
        assert (await state_of(client, thread_id))["parent_checkpoint_id"] == base

    async def test_two_different_ids(self, server: Any, client: Any) -> None:
        body = {"checkpoint": {"checkpoint_id": str(uuid4())}, "checkpoint_id": str(uuid4())}
        await refused(client, await server.thread("chat"), 422, values={}, **body)

    async def test_an_ill_formed_id(self, server: Any, client: Any) -> None:
        assert "UUID" in await refused(client, await server.thread("chat"), 422, values={}, checkpoint_id="no")


class TestSubgraphs:
    async def test_the_state_of_a_pending_subgraph(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {"log": ["start"]})
        [task] = (await state_of(client, thread_id))["tasks"]
        await write(client, thread_id, values={"answer": "sub"}, as_node="inner", checkpoint=task["checkpoint"])
        [nested] = (await state_of(client, thread_id, subgraphs="true"))["tasks"]
        assert nested["state"]["values"]["answer"] == "sub"
        assert nested["state"]["next"] == []
        assert nested["state"]["metadata"]["source"] == "update"
        row = await server.row(thread_id)
        assert (row["status"], row["values"]) == ("interrupted", {"log": ["start"]})

    async def test_a_node_of_another_level(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("nested")
        await server.run("nested", thread_id, {"log": ["start"]})
        [task] = (await state_of(client, thread_id))["tasks"]
        detail = await refused(client, thread_id, 400, values={}, as_node="middle", checkpoint=task["checkpoint"])
        assert "middle" in detail

    async def test_a_namespace_without_a_subgraph(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("nested")
        detail = await refused(client, thread_id, 400, values={}, checkpoint={"checkpoint_ns": "nowhere:1"})
        assert "nowhere" in detail


class TestRefused:
    @pytest.mark.parametrize("status", ["pending", "running"])
    async def test_while_a_run_is_in_flight(self, server: Any, client: Any, status: str) -> None:
        thread_id = await server.thread("chat")
        run_id = await server.run_row(thread_id, status)
        assert run_id in await refused(client, thread_id, 409, values={"topic": "x"})
        assert (await state_of(client, thread_id))["checkpoint"] is None

    async def test_an_unknown_node(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("chat")
        assert "nowhere" in await refused(client, thread_id, 400, values={}, as_node="nowhere")
        assert (await state_of(client, thread_id))["checkpoint"] is None

    async def test_an_ambiguous_node(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("parallel")
        await server.run("parallel", thread_id, {"log": []})
        assert "as_node" in await refused(client, thread_id, 400, values={"log": ["x"]})

    async def test_a_thread_without_a_graph(self, server: Any, client: Any) -> None:
        assert "graph" in await refused(client, await server.thread(None), 400, values={})

    async def test_a_graph_that_the_server_does_not_have(self, server: Any, client: Any) -> None:
        assert "gone" in await refused(client, await server.thread("gone"), 400, values={})

    async def test_an_unknown_thread(self, client: Any) -> None:
        await refused(client, str(uuid4()), 404, values={})
        await refused(client, "nonsense", 422, values={})

    async def test_values_that_the_graph_rejects(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("picky")
        detail = await refused(client, thread_id, 400, values={"size": -1}, as_node="check")
        assert detail == "size must not be negative"
        assert (await state_of(client, thread_id))["checkpoint"] is None

    async def test_other_exceptions_of_the_graph_are_not_shown(self, server: Any, client: Any) -> None:
        thread_id = await server.thread("picky")
        answer = await client.post(f"/threads/{thread_id}/state", json={"values": {"size": 101}, "as_node": "check"})
        assert answer.status_code == 500
        assert "password" not in answer.text
