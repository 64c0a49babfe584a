"""State writes on channels that are stored as the writes that made them (LangGraph's `DeltaChannel`)."""

from __future__ import annotations

from typing import Any

from waystation.auth.access import EVERYTHING
from waystation.threads.history import history
from waystation.threads.state import get_state, update_state
from waystation.threads.state_models import Superstep, SuperstepUpdate
from waystation.threads.supersteps import seed


async def write(server: Any, thread_id: str, text: str, **fields: Any) -> None:
    await update_state(server, EVERYTHING, thread_id, {"values": {"log": [text]}, "as_node": "node", **fields})
    shown = server.streams.states[-1][1]
    stored = await get_state(server, EVERYTHING, thread_id)
    assert shown["values"] == stored["values"] == (await server.row(thread_id))["values"]


async def log_of(server: Any, thread_id: str) -> Any:
    return (await get_state(server, EVERYTHING, thread_id))["values"]["log"]


async def test_writes_add_up_across_full_copies(server: Any) -> None:
    thread_id = await server.thread("delta")
    await server.run("delta", thread_id, {"log": ["in"]})
    texts = [str(number) for number in range(8)]
    for text in texts:
        await write(server, thread_id, text)
    assert await log_of(server, thread_id) == ["in", "saw 1", *texts]


async def test_many_steps_at_once(server: Any) -> None:
    thread_id = await server.thread("delta")
    await server.run("delta", thread_id, {"log": ["in"]})
    texts = [str(number) for number in range(8)]
    steps = [Superstep(updates=[SuperstepUpdate(as_node="node", values={"log": [text]})]) for text in texts]
    await seed(server, EVERYTHING, thread_id, steps)
    assert await log_of(server, thread_id) == ["in", "saw 1", *texts]


async def test_a_fork_leaves_the_other_branch_as_it_is(server: Any) -> None:
    thread_id = await server.thread("delta")
    for text in ("a", "b", "c"):
        await write(server, thread_id, text)
    other, base = (await history(server, EVERYTHING, thread_id, 10))[:2]
    await write(server, thread_id, "fork", checkpoint=base["checkpoint"])
    assert await log_of(server, thread_id) == ["a", "b", "fork"]
    kept = await get_state(server, EVERYTHING, thread_id, other["checkpoint"])
    assert kept["values"]["log"] == ["a", "b", "c"]


async def test_a_run_goes_on_from_a_write(server: Any) -> None:
    thread_id = await server.thread("delta")
    for text in ("a", "b", "c", "d"):
        await write(server, thread_id, text)
    await server.run("delta", thread_id, {"log": ["in"]})
    assert await log_of(server, thread_id) == ["a", "b", "c", "d", "in", "saw 5"]
