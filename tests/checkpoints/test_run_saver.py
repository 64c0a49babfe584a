"""The saver of a run: it does not wait, reads its own writes, and stops when the run may not write any more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import Connection

from tests.checkpoints.graphs import chat_graph, config, log_graph, new_id
from waystation.errors import Conflict
from waystation.storage.checkpoints import Saver
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase


def checkpoint(**values: Any) -> Any:
    return {**empty_checkpoint(), "channel_values": values, "channel_versions": dict.fromkeys(values, 1)}


async def stored(saver: Saver, thread_id: str = "t") -> list[Any]:
    """Newest first, read past the run's own saver."""
    return [found async for found in saver.alist(config(thread_id))]


async def test_run_leaves_the_history_it_made(saver: Saver) -> None:
    run = saver.for_run(None)
    graph = chat_graph(run)

    for turn in range(3):
        await graph.ainvoke({"messages": [("user", f"q{turn}")]}, config("t", f"r{turn}"))
    await run.flush()

    found = await stored(saver)
    assert len(found) == 9
    assert [len(each.checkpoint["channel_values"].get("messages", [])) for each in found] == [6, 5, 4, 4, 3, 2, 2, 1, 0]
    assert [each.metadata["run_id"] for each in found] == ["r2"] * 3 + ["r1"] * 3 + ["r0"] * 3


async def test_run_reads_what_it_has_just_put(saver: Saver) -> None:
    run = saver.for_run(None)

    for number in range(20):
        at = await run.aput(config("t", "r"), checkpoint(n=number, text=f"{number} " * 200), {"step": number}, {"n": 1})
        await run.aput_writes(at, [("n", number)], new_id())
        found = await run.aget_tuple(config("t"))
        assert found is not None
        assert found.metadata["step"] == number
        assert found.pending_writes is not None
        assert len(found.pending_writes) == 1
    assert len([each async for each in run.alist(config("t"))]) == 20


async def test_a_blank_thread_is_not_asked_for_checkpoints(saver: Saver, db: SqliteDatabase) -> None:
    """Only that one, and only until the run has put something there."""
    for thread in ("blank", "other"):
        await saver.aput(config(thread, "r"), checkpoint(), {"source": "input"}, {})
    run = saver.for_run(None, blank="blank")
    assert await run.aget_tuple(config("blank")) is None, "it is believed"
    assert await asyncio.to_thread(run.get_tuple, config("blank")) is None
    assert await run.aget_tuple(config("other")) is not None
    await run.aput(config("blank", "r"), checkpoint(), {"source": "loop"}, {})
    found = await run.aget_tuple(config("blank"))
    assert found is not None
    assert found.metadata["source"] == "loop"


async def test_what_the_config_says_is_stored_as_it_changes(saver: Saver) -> None:
    """LangGraph gives the same config with every write of a graph; others need not."""
    run = saver.for_run(None)
    shared: dict[str, Any] = {"run_id": "r", "a": 1}

    def at(**configurable: Any) -> Any:
        given = config("t", "r")
        return {**given, "metadata": shared, "configurable": {**given["configurable"], **configurable}}

    async def put(where: Any, **metadata: Any) -> None:
        await run.aput(where, checkpoint(), metadata, {})  # type: ignore[arg-type]

    await put(at(b=1), source="input")
    await put(at(b=1, checkpoint_id=new_id()), source="loop")
    await put(at(b=True), source="loop")
    await put(at(b=True), source="loop", a=2)
    await put(at(b=True), source="loop")
    shared["c"] = "3\0"
    await put(at(b=True), source="loop", note="\0")
    await run.flush()
    found = [{key: value for key, value in each.metadata.items() if key != "run_id"} for each in await stored(saver)]
    assert found[::-1] == [
        {"source": "input", "a": 1, "b": 1},
        {"source": "loop", "a": 1, "b": 1},
        {"source": "loop", "a": 1, "b": True},
        {"source": "loop", "a": 2, "b": True},
        {"source": "loop", "a": 1, "b": True},
        {"source": "loop", "a": 1, "b": True, "c": "3", "note": ""},
    ]
    assert [type(each["b"]) for each in found[::-1]] == [int, int, bool, bool, bool, bool]


def test_signatures_are_those_of_the_methods(saver: Saver) -> None:
    for each in (saver.put_writes, saver.aput_writes, saver.for_run(None).aput_writes):
        assert [*signature(each).parameters] == ["config", "writes", "task_id", "task_path"]


async def test_puts_wait_for_each_other_only_if_asked(saver: Saver, db: SqliteDatabase) -> None:
    busy, writer_is_busy = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        writer_is_busy.set()
        assert busy.wait(30)

    run, waiting = saver.for_run(None), saver.for_run(None, wait=True)
    held = db.post(hold)
    await asyncio.to_thread(writer_is_busy.wait, 30)

    await run.aput(config("t", "r"), checkpoint(), {}, {})
    waiter = asyncio.create_task(waiting.aput(config("u", "r"), checkpoint(), {}, {}))
    await asyncio.sleep(0.05)
    assert not waiter.done()

    busy.set()
    await waiter
    await asyncio.wrap_future(held)
    assert len(await stored(saver, "u")) == 1


async def test_puts_become_durable_without_a_flush(saver: Saver) -> None:
    run = saver.for_run(None)
    await run.aput(config("t", "r"), checkpoint(), {}, {})

    async with asyncio.timeout(30):
        while not await stored(saver):  # noqa: ASYNC110 - a reader is not told of commits
            await asyncio.sleep(0.01)


async def test_puts_that_come_together_are_one_transaction(saver: Saver, db: SqliteDatabase) -> None:
    looks = 0

    def guard(conn: Connection) -> Callable[[], None]:
        nonlocal looks
        looks += 1
        return lambda: None

    run = saver.for_run(guard)
    await log_graph(run).ainvoke({"log": ["in"]}, config("t", "r"))
    await run.flush()

    assert len(await stored(saver)) == 3
    assert 1 <= looks < 5


async def test_what_is_posted_comes_before_a_later_write(saver: Saver, db: SqliteDatabase) -> None:
    run = saver.for_run(None)
    await run.aput(config("t", "r"), checkpoint(), {}, {})
    run.post()

    seen = await db.write(lambda conn: conn.exec_driver_sql("SELECT COUNT(*) FROM checkpoints").scalar())

    assert seen == 1


async def test_nothing_is_written_once_the_guard_refuses(saver: Saver) -> None:
    allowed = True

    def guard(conn: Connection) -> Callable[[], None]:
        if not allowed:
            raise Conflict("lease lost")
        return lambda: None

    run = saver.for_run(guard)
    await run.aput(config("t", "r"), checkpoint(), {"step": 0}, {})
    await run.flush()
    allowed = False
    await run.aput(config("t", "r"), checkpoint(), {"step": 1}, {})
    with pytest.raises(Conflict, match="lease lost"):
        await run.flush()
    allowed = True

    with pytest.raises(Conflict, match="lease lost"):
        await run.aput(config("t", "r"), checkpoint(), {"step": 2}, {})
    with pytest.raises(Conflict, match="lease lost"):
        await run.aget_tuple(config("t"))
    with pytest.raises(Conflict, match="lease lost"):
        await run.flush()
    assert [each.metadata["step"] for each in await stored(saver)] == [0]


async def test_graph_stops_when_the_guard_refuses(saver: Saver) -> None:
    def guard(conn: Connection) -> Callable[[], None]:
        raise Conflict("lease lost")

    with pytest.raises(Conflict, match="lease lost"):
        await log_graph(saver.for_run(guard, wait=True)).ainvoke({"log": ["in"]}, config("t", "r"))

    assert await stored(saver) == []


async def test_put_that_cannot_be_serialized_does_not_hide_later_ones(saver: Saver) -> None:
    run = saver.for_run(None)

    with pytest.raises(TypeError):
        await run.aput(config("t", "r"), checkpoint(bad=object()), {}, {"bad": 1})
    await run.aput(config("t", "r"), checkpoint(), {"step": 1}, {})
    await run.flush()

    assert [each.metadata["step"] for each in await stored(saver)] == [1]


async def test_one_run_may_write_to_several_threads(saver: Saver) -> None:
    run = saver.for_run(None)
    for thread_id in ("t", "u"):
        await run.aput(config(thread_id, "r"), checkpoint(), {"step": 1}, {})
    await run.flush()

    assert [each.metadata for each in await stored(saver, "u")] == [{"step": 1, "run_id": "r", "graph_id": "test"}]


async def test_synchronous_graphs_in_several_threads_share_a_run(saver: Saver) -> None:
    run = saver.for_run(None)
    graph = log_graph(run)

    def turns(ns: str) -> None:
        for turn in range(5):
            graph.invoke({"log": [f"{turn}"]}, config(f"t{ns}", "r" + str(turn)))

    await asyncio.gather(*(asyncio.to_thread(turns, str(number)) for number in range(4)))
    await run.flush()

    for number in range(4):
        found = await stored(saver, f"t{number}")
        assert len(found) == 15
        assert found[0].checkpoint["channel_values"]["n"] == 5


async def test_cancelled_flush_leaves_the_database_alone(saver: Saver, db: SqliteDatabase) -> None:
    busy = threading.Event()
    held = db.post(lambda conn: busy.wait(30))
    run = saver.for_run(None)
    await run.aput(config("t", "r"), checkpoint(), {}, {})
    flush = asyncio.create_task(run.flush())
    await asyncio.sleep(0.02)

    flush.cancel()
    await asyncio.gather(flush, return_exceptions=True)
    busy.set()
    await asyncio.wrap_future(held)

    await run.flush()
    assert len(await stored(saver)) == 1


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_every_durability_ends_with_the_same_state(saver: Saver, durability: Any) -> None:
    run = saver.for_run(None, wait=durability == "sync")
    for turn in range(3):
        await chat_graph(run).ainvoke(
            {"messages": [("user", f"q{turn}")]}, config("t", f"r{turn}"), durability=durability
        )
    await run.flush()

    found = await stored(saver)
    assert len(found[0].checkpoint["channel_values"]["messages"]) == 6
    assert len(found) == (3 if durability == "exit" else 9)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.checkpoints.graphs import chat_graph, config
from waystation.storage.checkpoints import Saver
from waystation.storage.sqlite import SqliteDatabase

async def main():
    run = Saver(SqliteDatabase(Path({path!r}))).for_run(None)
    graph = chat_graph(run)
    for turn in range(1000):
        await graph.ainvoke({{"messages": [("user", f"q{{turn}}")]}}, config("t", f"r{{turn}}"))
        if turn == 7:
            await run.flush()
            print("acknowledged", flush=True)
        if turn == 12:
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_killed_process_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "killed.sqlite"
    db = SqliteDatabase(path)
    upgrade(db)
    await db.close()
    program = KILLED.format(path=str(path), root=str(Path(__file__).parents[2]))
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], capture_output=True, timeout=100)
    assert ended.stdout.split() == [b"acknowledged"], ended.stderr.decode()
    assert ended.returncode == -9

    db = SqliteDatabase(path)
    saver = Saver(db)
    found = await stored(saver)
    assert len(found) >= 24
    for each in found[:-1]:
        assert each.parent_config is not None
        assert await saver.aget_tuple(each.parent_config) is not None
    graph = chat_graph(saver)
    before = len((await graph.aget_state(config("t"))).values["messages"])
    await graph.ainvoke({"messages": [("user", "still there?")]}, config("t", "after"))
    assert len((await graph.aget_state(config("t"))).values["messages"]) == before + 2
    await db.close()
