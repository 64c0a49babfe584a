"""Rollback, pruning, copying and measuring: what is left can be read, and nothing else is left."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command
from sqlalchemy import Connection, text

from tests.checkpoints.graphs import approval_graph, chat_graph, config, delta_graph, new_id
from waystation.errors import BadInput, Conflict
from waystation.storage.checkpoints import (
    Saver,
    copy_thread,
    delete_for_runs,
    delete_threads,
    newest_checkpoint_id,
    prune,
    storage_report,
)
from waystation.storage.sqlite import SqliteDatabase

TABLES = ("checkpoint_threads", "checkpoint_runs", "checkpoints", "checkpoint_values", "checkpoint_writes")


def counts(conn: Connection) -> dict[str, int]:
    return {table: conn.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar() or 0 for table in TABLES}


async def talk(saver: Saver, thread_id: str, turns: range, graph: Any = None) -> None:
    graph = graph or chat_graph(saver)
    for turn in turns:
        await graph.ainvoke({"messages": [("user", f"question {turn}")]}, config(thread_id, f"run-{turn}"))


async def values(saver: Saver, thread_id: str) -> list[Any]:
    """Of all checkpoints, newest first, read from the database."""
    return [found.checkpoint["channel_values"] async for found in Saver(saver._db).alist(config(thread_id))]


async def snapshots(graph: Any, thread_id: str) -> list[Any]:
    return [
        (
            s.values,
            s.next,
            s.config["configurable"]["checkpoint_id"],
            [(t.name, t.result, t.interrupts) for t in s.tasks],
        )
        async for s in graph.aget_state_history(config(thread_id))
    ]


async def test_rollback_leaves_what_was_there_before(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(40))
    before, rows = await values(saver, "t"), await db.read(counts)
    newest = await db.read(newest_checkpoint_id, "t")
    await talk(saver, "t", range(40, 80))

    await db.write(delete_for_runs, "t", [f"run-{turn}" for turn in range(40, 80)])

    assert await values(saver, "t") == before
    assert await db.read(counts) == rows
    assert await db.read(newest_checkpoint_id, "t") == newest
    await talk(saver, "t", range(80, 82))
    assert len((await values(saver, "t"))[0]["messages"]) == 84


async def test_rollback_of_an_answer_asks_again(saver: Saver, db: SqliteDatabase) -> None:
    graph = approval_graph(saver)
    await graph.ainvoke({"log": ["in"]}, config("t", "asking"))
    before = await snapshots(graph, "t")
    await graph.ainvoke(Command(resume="yes"), config("t", "answering"))
    assert await snapshots(graph, "t") != before

    await db.write(delete_for_runs, "t", ["answering"])

    assert await snapshots(graph, "t") == before
    await graph.ainvoke(Command(resume="no"), config("t", "again"))
    assert (await graph.aget_state(config("t"))).values == {"log": ["in", "approved: no"]}


async def test_runs_in_the_middle_can_be_deleted(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(60))
    all_values = await values(saver, "t")

    await db.write(delete_for_runs, "t", [f"run-{turn}" for turn in range(10, 50)])

    assert await values(saver, "t") == all_values[:30] + all_values[-30:]


async def test_rollback_of_a_run_on_another_thread_does_nothing(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(2))
    rows = await db.read(counts)

    await db.write(delete_for_runs, "u", ["run-1"])
    await db.write(delete_for_runs, "t", ["unknown", new_id()])

    assert await db.read(counts) == rows


async def test_fork_survives_the_deletion_of_the_branch_it_left(saver: Saver, db: SqliteDatabase) -> None:
    graph = chat_graph(saver)
    await talk(saver, "t", range(20))
    fork = (await graph.aget_state(config("t"))).config["configurable"]["checkpoint_id"]
    await talk(saver, "t", range(20, 30))
    await graph.ainvoke({"messages": [("user", "fork")]}, config("t", "forked", checkpoint_id=fork, checkpoint_ns=""))
    forked = (await values(saver, "t"))[:3]

    await db.write(delete_for_runs, "t", [f"run-{turn}" for turn in range(20, 30)])

    assert (await values(saver, "t"))[:3] == forked
    assert len(await values(saver, "t")) == 63


async def test_prune_keeps_the_newest_and_nothing_it_does_not_need(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(150))
    newest, before = (await values(saver, "t"))[0], await db.read(counts)

    await db.write(prune, ["t", "unknown"], "keep_latest")

    assert await values(saver, "t") == [newest]
    after = await db.read(counts)
    assert after["checkpoints"] == after["checkpoint_runs"] == 1
    assert after["checkpoint_writes"] == 0
    assert after["checkpoint_values"] < before["checkpoint_values"] / 3
    await talk(saver, "t", range(150, 170))
    assert len((await values(saver, "t"))[0]["messages"]) == 340


async def test_prune_while_a_run_goes_on_does_not_harm_it(saver: Saver, db: SqliteDatabase) -> None:
    run = saver.for_run(None)
    graph = chat_graph(run)
    for turn in range(100):
        await graph.ainvoke({"messages": [("user", f"q{turn}")]}, config("t", f"run-{turn}"))
        if turn % 9 == 0:
            run.post()
            await db.write(prune, ["t"], "keep_latest")
    await run.flush()

    assert len((await values(saver, "t"))[0]["messages"]) == 200


@pytest.mark.parametrize("turns", range(1, 12))
async def test_prune_keeps_what_delta_channels_are_rebuilt_from(saver: Saver, db: SqliteDatabase, turns: int) -> None:
    graph = delta_graph(saver)
    for turn in range(turns):
        await graph.ainvoke({"log": [f"in {turn}"]}, config("t", f"run-{turn}"))
    newest = await snapshots(graph, "t")

    await db.write(prune, ["t"], "keep_latest")

    left = await snapshots(graph, "t")
    assert left == newest[: len(left)]
    assert len(newest[0][0]["log"]) == 2 * turns
    assert len(left) <= 12


async def test_prune_with_an_unknown_strategy_is_refused(db: SqliteDatabase) -> None:
    with pytest.raises(BadInput, match="keep_all"):
        await db.write(prune, ["t"], "keep_all")


async def test_deleted_thread_leaves_nothing(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(3))
    await talk(saver, "u", range(3))
    await db.write(delete_threads, ["t", "unknown"])

    assert await values(saver, "t") == []
    assert len(await values(saver, "u")) == 9

    await db.write(delete_threads, ["u"])
    assert set((await db.read(counts)).values()) == {0}


async def test_new_thread_with_the_id_of_a_deleted_one_starts_afresh(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(3))
    await db.write(delete_threads, ["t"])
    await talk(saver, "t", range(1))

    assert [len(each.get("messages", [])) for each in await values(saver, "t")] == [2, 1, 0]


async def test_copy_is_the_same_thread_under_another_name(saver: Saver, db: SqliteDatabase) -> None:
    graph = delta_graph(saver)
    for turn in range(5):
        await graph.ainvoke({"log": [f"in {turn}"]}, config("t", f"run-{turn}"))
    await graph.aupdate_state(config("t"), {"n": 9})
    await graph.ainvoke({"log": ["in"]}, config("other", "run-x"))

    await db.write(copy_thread, "t", "u")

    assert await snapshots(graph, "u") == await snapshots(graph, "t")
    await graph.ainvoke({"log": ["more"]}, config("u", "run-6"))
    assert len((await graph.aget_state(config("u"))).values["log"]) == 12
    assert len((await graph.aget_state(config("t"))).values["log"]) == 10
    await db.write(delete_threads, ["t"])
    assert len((await graph.aget_state(config("u"))).values["log"]) == 12


async def test_copy_names_its_own_thread_in_the_metadata(saver: Saver, db: SqliteDatabase) -> None:
    checkpoint: Any = {
        "v": 4,
        "id": new_id(),
        "ts": "",
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
    }
    await saver.aput(config("t"), checkpoint, {"thread_id": "t", "step": 1}, {})  # type: ignore[typeddict-unknown-key]

    await db.write(copy_thread, "t", "u")

    assert [found.metadata async for found in saver.alist(config("u"))] == [{"thread_id": "u", "step": 1}]
    assert [found.metadata async for found in saver.alist(config("t"))] == [{"thread_id": "t", "step": 1}]


async def test_copy_onto_a_thread_with_checkpoints_is_refused(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(1))
    await talk(saver, "u", range(1))

    with pytest.raises(Conflict, match="u"):
        await db.write(copy_thread, "t", "u")


async def test_report_adds_up(saver: Saver, db: SqliteDatabase) -> None:
    await talk(saver, "t", range(4))

    report = await db.read(storage_report, "t")

    assert report["thread_id"] == "t"
    assert report["checkpoints"]["count"] == 12
    assert report["pending_writes"]["count"] == 12
    channels = report["channel_values"]["by_channel"]
    assert channels["messages"]["versions"] == 8
    assert report["channel_values"]["count"] == sum(each["versions"] for each in channels.values())
    assert report["channel_values"]["bytes"] == sum(each["bytes"] for each in channels.values())
    parts = [report[part]["bytes"] for part in ("checkpoints", "channel_values", "pending_writes")]
    assert report["total_bytes"] == sum(parts)
    assert min(parts) > 0


async def test_report_of_a_thread_without_state_is_all_zeros(db: SqliteDatabase) -> None:
    assert await db.read(storage_report, "t") == {
        "thread_id": "t",
        "total_bytes": 0,
        "checkpoints": {"count": 0, "bytes": 0},
        "channel_values": {"count": 0, "bytes": 0, "by_channel": {}},
        "pending_writes": {"count": 0, "bytes": 0},
    }


async def test_long_conversation_grows_in_proportion(saver: Saver, db: SqliteDatabase) -> None:
    run = saver.for_run(None)
    sizes = {}
    for turn in range(1, 241):
        await chat_graph(run).ainvoke({"messages": [("user", f"question {turn}")]}, config("t", f"run-{turn}"))
        if turn % 80 == 0:
            await run.flush()
            sizes[turn] = (await db.read(storage_report, "t"))["total_bytes"]

    assert sizes[240] < 4 * sizes[80]
    assert sizes[240] < 2500 * 240
    assert [len(each.get("messages", [])) for each in await values(saver, "t")][:4] == [480, 479, 478, 478]
