"""Pruning in parts: at every point in between, what is still there can be read and gone on with."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.checkpoints.graphs import approval_graph, chat_graph, config, delta_graph
from waystation.storage.checkpoints import BEGINNING, Place, Saver, keep_latest, prune
from waystation.storage.database import Database

TABLES = ("checkpoint_threads", "checkpoint_runs", "checkpoints", "checkpoint_values", "checkpoint_writes")


def counts(conn: Connection) -> dict[str, int]:
    return {table: conn.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar() or 0 for table in TABLES}


def make_chat(saver: Saver) -> Any:
    return chat_graph(saver)


def make_delta(saver: Saver) -> Any:
    return delta_graph(saver)


GRAPHS = [
    (make_chat, lambda turn: {"messages": [("user", f"q{turn}")]}),
    (make_delta, lambda turn: {"log": [f"q{turn}"]}),
]


@pytest.mark.parametrize(("graph_of", "given"), GRAPHS)
@pytest.mark.parametrize("most", [1, 5, 40])
async def test_parts_come_to_the_same_as_the_whole(
    saver: Saver, db: Database, graph_of: Any, given: Any, most: int
) -> None:
    graph = graph_of(saver)
    for turn in range(13):
        await graph.ainvoke(given(turn), config("t", f"run-{turn}"))
    await saver.acopy_thread("t", "whole")
    newest = await graph.aget_state(config("t"))
    place: Place | None = BEGINNING
    parts = 0
    while place is not None:
        _done, place = await db.write(keep_latest, "t", most, place)
        parts += 1
        history = [state async for state in graph.aget_state_history(config("t"))]
        assert history[0].values == newest.values
    assert parts > 100 / (most + 10)
    await db.write(prune, ["whole"], "keep_latest")
    both = await db.read(counts)
    await db.write(prune, ["whole"], "delete")
    assert both == {table: 2 * count for table, count in (await db.read(counts)).items()}


@pytest.mark.parametrize(("graph_of", "given"), GRAPHS)
async def test_runs_go_on_between_the_parts(saver: Saver, db: Database, graph_of: Any, given: Any) -> None:
    graph = graph_of(saver)
    for turn in range(10):
        await graph.ainvoke(given(turn), config("t", f"run-{turn}"))
    undisturbed = graph_of(saver)
    for turn in range(40):
        await undisturbed.ainvoke(given(turn), config("u", f"other-{turn}"))
    place: Place | None = BEGINNING
    for turn in range(10, 40):
        if place is not None:
            _, place = await db.write(keep_latest, "t", 6, place)
        await graph.ainvoke(given(turn), config("t", f"run-{turn}"))
    expected = (await undisturbed.aget_state(config("u"))).values
    fresh = graph_of(Saver(db))
    found = (await fresh.aget_state(config("t"))).values
    assert [str(getattr(each, "content", each)) for each in next(iter(found.values()))] == [
        str(getattr(each, "content", each)) for each in next(iter(expected.values()))
    ]


async def test_every_namespace_keeps_its_newest(saver: Saver, db: Database) -> None:
    graph = approval_graph(saver)
    await graph.ainvoke({"log": ["in"]}, config("t", "asking"))
    before = await graph.aget_state(config("t"), subgraphs=True)
    place: Place | None = BEGINNING
    while place is not None:
        _, place = await db.write(keep_latest, "t", 1, place)
    after = await graph.aget_state(config("t"), subgraphs=True)
    assert (after.values, after.next, after.tasks) == (before.values, before.next, before.tasks)


async def test_a_thread_without_checkpoints(db: Database) -> None:
    assert await db.write(keep_latest, "unknown", 10) == (0, None)
