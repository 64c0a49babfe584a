"""What LangGraph and the thread routes do with the saver, beyond the conformance suite."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from tests.checkpoints.graphs import approval_graph, chat_graph, config, delta_graph, log_graph, new_id
from waystation.storage.checkpoints import Saver, newest_checkpoint_id
from waystation.storage.sqlite import SqliteDatabase


def checkpoint(checkpoint_id: str, **values: Any) -> Any:
    versions = dict.fromkeys(values, 1)
    return {**empty_checkpoint(), "id": checkpoint_id, "channel_values": values, "channel_versions": versions}


async def listed(saver: Any, where: Any, **options: Any) -> list[CheckpointTuple]:
    return [found async for found in saver.alist(where, **options)]


async def test_history_is_that_of_the_in_memory_saver(saver: Saver) -> None:
    ours, theirs = chat_graph(saver), chat_graph(InMemorySaver())
    where = config("t", "r")
    for turn in range(4):
        for graph in (ours, theirs):
            await graph.ainvoke(
                {"messages": [{"role": "user", "content": f"q{turn}", "id": f"q{turn}"}]}, config("t", f"r{turn}")
            )

    def shown(snapshot: Any) -> Any:
        tasks = [(task.name, task.result) for task in snapshot.tasks]
        return snapshot.values, snapshot.next, snapshot.metadata, tasks

    assert [shown(s) async for s in ours.aget_state_history(where)] == [
        shown(s) async for s in theirs.aget_state_history(where)
    ]


async def test_checkpoint_comes_back_whole(saver: Saver) -> None:
    stored = checkpoint(new_id(), a=[1, {"b": None}], none=None, text="x" * 500)
    stored["channel_versions"]["never"] = 1
    stored["versions_seen"] = {"node": {"a": 1, "other": "1.5"}, "idle": {}}
    stored["updated_channels"] = ["a", "elsewhere"]
    stored["from_the_future"] = {"x": (1, 2)}
    metadata: Any = {"source": "loop", "step": 3, "parents": {"": "p"}, "thread_id": "t", "extra": {1: {2}}}

    await saver.aput(config("t", "run", user="ann"), stored, metadata, stored["channel_versions"])
    found = await saver.aget_tuple(config("t"))

    assert found is not None
    assert found.checkpoint == {**stored, "from_the_future": {"x": [1, 2]}}
    assert found.metadata == {**metadata, "run_id": "run", "graph_id": "test", "user": "ann"}


@pytest.mark.parametrize("version", [1, 1.5, "3", "00000000000000000000000000000002.0.5", 2**31 + 1])
async def test_versions_of_every_kind_come_back(saver: Saver, version: Any) -> None:
    stored = checkpoint(new_id(), a="x" * 300)
    stored["channel_versions"] = {"a": version}

    await saver.aput(config("t"), stored, {}, stored["channel_versions"])
    found = await saver.aget_tuple(config("t"))

    assert found is not None
    assert found.checkpoint["channel_versions"] == {"a": version}
    assert type(found.checkpoint["channel_versions"]["a"]) is type(version)
    assert found.checkpoint["channel_values"] == {"a": "x" * 300}


def test_versions_grow_and_differ_between_branches(saver: Saver) -> None:
    first = saver.get_next_version(None, None)
    branches = {saver.get_next_version(first, None) for _ in range(100)}

    assert len(branches) == 100
    assert first < min(branches)
    assert max(branches) < saver.get_next_version(min(branches), None)
    assert saver.get_next_version("00000000000000000000000000000002.0.5", None) > "00000000000000000000000000000002.0.5"


async def test_list_filters_and_pages_across_many_checkpoints(saver: Saver) -> None:
    ids = [f"1f000000-0000-6000-8000-{number:012}" for number in range(450)]
    parent: dict[str, Any] = {}
    for number, each in enumerate(ids):
        metadata: Any = {"step": number, "even": number % 2 == 0, "tag": {"n": number % 7}}
        await saver.aput(config("t", f"run-{number % 3}", **parent), checkpoint(each, n=number), metadata, {"n": 1})
        parent = {"checkpoint_id": each}

    newest_first = ids[::-1]
    assert [found.checkpoint["id"] for found in await listed(saver, config("t"))] == newest_first
    assert [found.checkpoint["id"] for found in await listed(saver, config("t"), limit=20)] == newest_first[:20]
    before = config("t", checkpoint_id=ids[400])
    steps = [found.metadata["step"] for found in await listed(saver, config("t"), before=before, limit=3)]
    assert steps == [399, 398, 397]
    found = await listed(saver, config("t"), filter={"tag": {"n": 3}, "even": True, "run_id": "run-1"})
    assert [each.metadata["step"] for each in found] == [n for n in range(449, -1, -1) if n % 42 == 10]
    assert await listed(saver, config("t"), filter={"step": 1000}) == []
    assert await listed(saver, config("t"), limit=0) == []
    assert [f.checkpoint["id"] for f in await listed(saver, config("t", checkpoint_id=ids[7]))] == [ids[7]]


async def test_list_without_a_namespace_or_thread_has_them_all(saver: Saver) -> None:
    for thread_id in ("a", "b"):
        for ns in ("", "child:1"):
            await saver.aput(config(thread_id, checkpoint_ns=ns), checkpoint(new_id()), {}, {})

    of_a = {found.config["configurable"]["checkpoint_ns"] for found in await listed(saver, config("a"))}
    threads = [found.config["configurable"]["thread_id"] for found in await listed(saver, None)]

    assert of_a == {"", "child:1"}
    assert sorted(threads) == ["a", "a", "b", "b"]


async def test_synchronous_methods_do_the_same(saver: Saver) -> None:
    def use() -> None:
        graph = log_graph(saver)
        graph.invoke({"log": ["in"]}, config("t", "r1"))
        graph.invoke({"log": ["in"]}, config("t", "r2"))
        assert graph.get_state(config("t")).values == {"log": ["in", "line 0", "in", "line 1"], "n": 2}
        assert len(list(graph.get_state_history(config("t")))) == 6
        saver.copy_thread("t", "u")
        saver.delete_for_runs(["r2"])
        assert graph.get_state(config("t")).values["n"] == 1
        saver.prune(["u"])
        assert len(list(saver.list(config("u")))) == 1
        saver.delete_thread("u")
        assert saver.get_tuple(config("u")) is None

    await asyncio.to_thread(use)


async def test_delta_channel_is_rebuilt_like_that_of_the_in_memory_saver(saver: Saver) -> None:
    ours, theirs = delta_graph(saver), delta_graph(InMemorySaver())
    for turn in range(12):
        for graph in (ours, theirs):
            await graph.ainvoke({"log": [f"in {turn}"]}, config("t", f"r{turn}"))

    values = [snapshot.values async for snapshot in ours.aget_state_history(config("t"))]

    assert values == [snapshot.values async for snapshot in theirs.aget_state_history(config("t"))]
    assert len(values[0]["log"]) == 24
    histories = await asyncio.to_thread(
        saver.get_delta_channel_history, config=config("t", checkpoint_ns=""), channels=["log", "n", "nothing"]
    )
    assert histories == await saver.aget_delta_channel_history(
        config=config("t", checkpoint_ns=""), channels=["log", "n", "nothing"]
    )
    assert histories["n"]["seed"] == 11
    assert "seed" not in histories["nothing"]


async def test_two_branches_of_one_parent_keep_their_own_values(saver: Saver) -> None:
    graph = chat_graph(saver)
    for turn in range(5):
        await graph.ainvoke({"messages": [("user", f"q{turn}")]}, config("t", f"r{turn}"))
    fork = (await graph.aget_state(config("t"))).config

    ends = []
    for branch in ("left", "right"):
        where = config("t", branch, checkpoint_id=fork["configurable"]["checkpoint_id"], checkpoint_ns="")
        for text in ("one", "two"):
            await graph.ainvoke({"messages": [("user", f"{branch} {text}")]}, where)
            where = config("t", f"{branch}-next")
        ends.append((await graph.aget_state(config("t"))).config)

    for branch, end in zip(("left", "right"), ends, strict=True):
        messages = (await graph.aget_state(end)).values["messages"]
        assert [m.content for m in messages if m.type == "human"][5:] == [f"{branch} one", f"{branch} two"]
        assert len(messages) == 14


class Mutable(TypedDict, total=False):
    items: list[Any]
    log: Annotated[list[str], operator.add]
    messages: list[BaseMessage]


async def test_what_a_node_changes_in_place_is_stored(saver: Saver) -> None:
    def change(state: Any) -> Any:
        state["messages"][1].content += " and more"
        state["messages"][1].response_metadata["seen"] = True
        state["items"][0]["count"] += 1
        return {"items": state["items"], "messages": state["messages"]}

    graph = StateGraph(Mutable)
    graph.add_node("change", change)
    graph.add_edge(START, "change")
    compiled = graph.compile(checkpointer=saver)
    start: Any = {
        "items": [{"count": 0}, *range(100)],
        "messages": [AIMessage(f"message {n}", id=str(n)) for n in range(30)],
    }
    await compiled.ainvoke(start, config("t", "r1"))

    state = (await compiled.aget_state(config("t"))).values
    assert state["items"][0] == {"count": 1}
    assert state["messages"][1] == AIMessage("message 1 and more", id="1", response_metadata={"seen": True})

    await compiled.ainvoke({"log": ["again"]}, config("t", "r2"))

    now = (await compiled.aget_state(config("t"))).values
    assert now["items"][0] == {"count": 2}
    assert now["messages"][1].content == "message 1 and more and more"
    before = [s async for s in compiled.aget_state_history(config("t"), filter={"step": 1})]
    assert before[0].values["items"][0] == {"count": 1}


async def test_interrupted_run_is_resumed_from_its_pending_writes(saver: Saver) -> None:
    graph = approval_graph(saver)
    await graph.ainvoke({"log": ["in"]}, config("t", "r1"))
    waiting = await graph.aget_state(config("t"))
    assert [each.value for each in waiting.tasks[0].interrupts] == ["may I?"]

    await graph.ainvoke(Command(resume="yes"), config("t", "r2"))

    assert (await graph.aget_state(config("t"))).values == {"log": ["in", "approved: yes"]}


async def test_subgraphs_have_their_own_history(saver: Saver) -> None:
    graph = StateGraph(MessagesState)
    inner = chat_graph(True)
    graph.add_node("inner", inner)
    graph.add_edge(START, "inner")
    outer: Any = graph.compile(checkpointer=saver)

    for turn in range(2):
        await outer.ainvoke({"messages": [("user", f"q{turn}")]}, config("t", f"r{turn}"))

    assert len((await outer.aget_state(config("t"))).values["messages"]) == 4
    inner_ones = await listed(saver, config("t", checkpoint_ns="inner"))
    assert len(inner_ones) > 2
    assert {found.config["configurable"]["checkpoint_ns"] for found in inner_ones} == {"inner"}


async def test_put_in_a_transaction_of_the_caller(saver: Saver, db: SqliteDatabase) -> None:
    first, second = sorted((new_id(), new_id()))

    def write(conn: Any) -> None:
        saver.put_in(conn, config("t"), checkpoint(first, a=1), {"step": 0}, {"a": 1})
        saver.put_writes_in(conn, config("t", checkpoint_id=first), [("a", 2)], new_id())

    def fail(conn: Any) -> None:
        saver.put_in(conn, config("t", checkpoint_id=first), checkpoint(second, a=3), {"step": 1}, {"a": 1})
        raise ValueError("no")

    await db.write(write)
    with pytest.raises(ValueError, match="no"):
        await db.write(fail)

    found = await saver.aget_tuple(config("t"))
    assert found is not None
    assert found.checkpoint["id"] == first == await db.read(newest_checkpoint_id, "t")
    assert found.pending_writes is not None
    assert [(channel, value) for _, channel, value in found.pending_writes] == [("a", 2)]


async def test_value_is_kept_in_full_when_its_base_was_never_committed(saver: Saver, db: SqliteDatabase) -> None:
    long = "a long text that is worth a difference " * 30
    versions = [saver.get_next_version(None, None)]
    for _ in range(2):
        versions.append(saver.get_next_version(versions[-1], None))
    ids = sorted(new_id() for _ in range(3))

    def stored(number: int) -> Any:
        return {**checkpoint(ids[number], a=long + str(number)), "channel_versions": {"a": versions[number]}}

    def fail(conn: Any) -> None:
        saver.put_in(conn, config("t"), stored(1), {}, {"a": versions[1]})
        raise ValueError("no")

    await saver.aput(config("t"), stored(0), {}, {"a": versions[0]})
    with pytest.raises(ValueError, match="no"):
        await db.write(fail)
    await saver.aput(config("t"), stored(2), {}, {"a": versions[2]})

    for reader in (saver, Saver(db)):
        found = await reader.aget_tuple(config("t"))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"a": long + "2"}


async def test_allowlist_applies_to_what_is_read(db: SqliteDatabase) -> None:
    serde = JsonPlusSerializer(allowed_msgpack_modules=None)
    strict = Saver(db, serde=serde)
    await strict.aput(config("t"), checkpoint(new_id(), a=[LookHere("x" * 200)]), {}, {"a": 1})

    refused = await strict.aget_tuple(config("t"))
    allowed = await strict.with_allowlist([(LookHere.__module__, "LookHere")]).aget_tuple(config("t"))

    assert refused is not None
    assert allowed is not None
    assert refused.checkpoint["channel_values"]["a"] == [["x" * 200]]
    assert allowed.checkpoint["channel_values"]["a"] == [LookHere("x" * 200)]


class LookHere(frozenset[Any]):
    """A type LangGraph does not know."""

    def __new__(cls, text: Any) -> LookHere:
        return super().__new__(cls, [text] if isinstance(text, str) else text)


async def test_threads_are_read_and_written_side_by_side(saver: Saver) -> None:
    graph = chat_graph(saver)

    async def talk(thread_id: str) -> None:
        for turn in range(10):
            await graph.ainvoke({"messages": [("user", f"{thread_id} {turn}")]}, config(thread_id, f"r{turn}"))

    await asyncio.gather(*(talk(f"t{number}") for number in range(6)))

    for number in range(6):
        messages = (await graph.aget_state(config(f"t{number}"))).values["messages"]
        assert [m.content for m in messages if m.type == "human"] == [f"t{number} {turn}" for turn in range(10)]
        assert len(messages) == 20
