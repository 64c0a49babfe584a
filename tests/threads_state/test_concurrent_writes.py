"""State writes beside other writes and runs: each happens as a whole, and none is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete

from waystation.auth.access import EVERYTHING
from waystation.errors import Conflict, NotFound
from waystation.storage.tables import threads
from waystation.threads import state_write
from waystation.threads.checkpoint import configurable_of
from waystation.threads.state import get_state, update_state
from waystation.threads.state_queries import state_source


async def test_concurrent_updates_are_all_kept(server: Any) -> None:
    thread_id = await server.thread("approval")
    await update_state(server, EVERYTHING, thread_id, {"values": {"log": ["first"]}, "as_node": "prepare"})
    bodies = [{"values": {"log": [str(n)]}, "as_node": "prepare"} for n in range(4)]
    await asyncio.gather(*(update_state(server, EVERYTHING, thread_id, body) for body in bodies))
    state = await get_state(server, EVERYTHING, thread_id)
    assert sorted(state["values"]["log"]) == ["0", "1", "2", "3", "first"]
    assert (await server.row(thread_id))["values"] == state["values"]
    assert server.streams.states[-1][1]["checkpoint_id"] == state["checkpoint_id"]
