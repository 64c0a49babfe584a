"""State writes beside runs and other writes: each happens as a whole or not at all, and none is lost.

The graph ``gated`` holds a write up between reading the state and recording the new one, so that something else can happen
in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from waystation.auth.access import EVERYTHING
from waystation.errors import Conflict, NotFound
from waystation.runs.models import Command
from waystation.storage.tables import threads
from waystation.threads.state import get_state, update_state
from waystation.threads.state_models import Superstep, SuperstepUpdate
from waystation.threads.state_write import ATTEMPTS
from waystation.threads.supersteps import seed

PATIENCE = 2000
"""Looks before a test that waits in vain fails."""


class Gate:
    """Lets those who come to it through one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    async def came(self, number: int) -> None:
        await asyncio.to_thread(self._wait_for, self.path / f"{number}.came")

    def open(self, number: int) -> None:
        (self.path / f"{number}.go").touch()

    def _wait_for(self, file: Path) -> None:
        for _ in range(PATIENCE):
            if file.exists():
                return
            time.sleep(0.002)
        raise TimeoutError(f"{file.name} never came")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
async def thread_id(server: Any) -> str:
    thread_id: str = await server.thread("gated")
    await update(server, thread_id, "first")
    return thread_id


async def update(server: Any, thread_id: str, text: str, **fields: Any) -> Any:
    body = {"values": {"log": [text]}, "as_node": "free", **fields}
    return await update_state(server, EVERYTHING, thread_id, body)


@asynccontextmanager
async def held_up(server: Any, thread_id: str, gate: Gate, **fields: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """A write of "held" that has read the state and goes on after the block."""
    body = {"values": {"log": ["held"], "gate": str(gate.path)}, "as_node": "slow", **fields}
    writing = asyncio.create_task(update_state(server, EVERYTHING, thread_id, body))
    await gate.came(0)
    yield writing
    gate.open(0)


async def log_of(server: Any, thread_id: str) -> Any:
    """The log in the newest state, which must be what the thread's row shows."""
    state = await get_state(server, EVERYTHING, thread_id)
    assert (await server.row(thread_id))["values"] == state["values"]
    return state["values"]["log"]


async def test_concurrent_updates_are_all_kept(server: Any, thread_id: str) -> None:
    await asyncio.gather(*(update(server, thread_id, str(number)) for number in range(4)))
    log = await log_of(server, thread_id)
    assert log[0] == "first"
    assert sorted(log[1:]) == ["0", "1", "2", "3"]


async def test_an_update_that_another_overtakes_starts_again_from_it(server: Any, thread_id: str, gate: Gate) -> None:
    async with held_up(server, thread_id, gate) as writing:
        await update(server, thread_id, "overtaking")
        gate.open(1)
    await writing
    assert await log_of(server, thread_id) == ["first", "overtaking", "held"]
    assert server.streams.states[-1][1]["values"]["log"] == ["first", "overtaking", "held"]


async def test_an_update_that_a_whole_run_overtakes_starts_again_from_it(
    server: Any, thread_id: str, gate: Gate
) -> None:
    async with held_up(server, thread_id, gate) as writing:
        await server.run("gated", thread_id, {"log": ["input"]})
        gate.open(1)
    await writing
    assert await log_of(server, thread_id) == ["first", "input", "free", "held"]


async def test_an_update_always_overtaken_is_given_up(server: Any, thread_id: str, gate: Gate) -> None:
    async with held_up(server, thread_id, gate) as writing:
        for number in range(ATTEMPTS):
            await gate.came(number)
            await update(server, thread_id, str(number))
            gate.open(number)
    with pytest.raises(Conflict):
        await writing
    assert "held" not in await log_of(server, thread_id)


async def test_a_run_created_meanwhile_wins(server: Any, thread_id: str, gate: Gate) -> None:
    async with held_up(server, thread_id, gate) as writing:
        run_id = await server.run_row(thread_id, "pending")
    with pytest.raises(Conflict, match=run_id):
        await writing
    assert await log_of(server, thread_id) == ["first"]


async def test_a_run_created_meanwhile_finds_its_pending_task_untouched(server: Any, gate: Gate) -> None:
    """An update as a pending node first stores the task's result: left behind alone, it would make the run skip the task."""
    thread_id = await server.thread("gated")
    to_slow = SuperstepUpdate(as_node="free", command=Command(goto="slow"))
    await seed(server, EVERYTHING, thread_id, [Superstep(updates=[to_slow])])
    before = await get_state(server, EVERYTHING, thread_id)
    assert before["next"] == ["slow"]
    async with held_up(server, thread_id, gate) as writing:
        await server.run_row(thread_id, "running")
    with pytest.raises(Conflict):
        await writing
    assert await get_state(server, EVERYTHING, thread_id) == before


async def test_a_thread_deleted_meanwhile_is_not_found_and_leaves_nothing(
    server: Any, thread_id: str, gate: Gate
) -> None:
    async with held_up(server, thread_id, gate) as writing:
        gone = delete(threads).where(threads.c.thread_id == thread_id)
        await server.db.write(lambda conn: conn.execute(gone) and None)
        await server.saver.adelete_thread(thread_id)
    with pytest.raises(NotFound):
        await writing
    assert await server.saver.aget_tuple({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}) is None


async def test_a_fork_that_an_update_overtakes_is_the_newest_state_in_the_end(server: Any, gate: Gate) -> None:
    """A fork does not start from the newest state, so only the row could tell that something else became the newest."""
    thread_id = await server.thread("gated_read")
    await update(server, thread_id, "first")
    base = (await get_state(server, EVERYTHING, thread_id))["checkpoint"]
    fork = {"values": None, "as_node": "__end__", "checkpoint": base}
    writing = asyncio.create_task(update_state(server, EVERYTHING, thread_id, fork, {"gate": str(gate.path)}))
    await gate.came(0)
    await update(server, thread_id, "second")
    gate.open(0)
    gate.open(1)
    answer = await writing
    assert await log_of(server, thread_id) == ["first"]
    state = await get_state(server, EVERYTHING, thread_id)
    assert state["checkpoint_id"] == answer["checkpoint_id"]
    assert state["parent_checkpoint_id"] == base["checkpoint_id"]
