"""The memory of an agent: kept across threads, and written to only when somebody has approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph_sdk.client import LangGraphClient
from managed_deepagents import AsyncClient
from sqlalchemy import Connection, select
from starlette.applications import Starlette

from tests.conftest import connected, served
from tests.deepagents.runs.conftest import Desk
from tests.store_custom.test_custom_store import STORES
from waystation.config import StoreConfig
from waystation.storage.tables import store_items

RECALL = "What do you remember?"

APPROVE = {"type": "approve"}

COURIER = {"name": "courier", "description": "carries", "instructions": "Carry.", "tools": {"tools": []}}


async def test_it_is_written_when_that_is_approved(desk: Desk) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    assert await desk.say(thread, agent, "remember I like tea") == ""
    await desk.resume(thread, agent, {"type": "reject"})
    assert "nothing" in await desk.say(thread, agent, RECALL)
    await desk.say(thread, agent, "remember I like tea")
    await desk.resume(thread, agent, APPROVE)
    assert "I like tea" in await desk.say(await desk.thread(agent), agent, RECALL)
    await desk.managed.agents.update(agent, system_prompt="Changed.")
    assert "I like tea" in await desk.say(await desk.thread(agent), agent, RECALL)


async def test_a_subagent_asks_as_well(desk: Desk) -> None:
    agent = await desk.agent(subagents=[COURIER])
    thread = await desk.thread(agent)
    assert await desk.say(thread, agent, "ask courier: remember I like tea") == ""
    await desk.resume(thread, agent, APPROVE)
    assert "I like tea" in await desk.say(await desk.thread(agent), agent, RECALL)


async def test_a_thread_may_do_without_asking_from_its_next_run_on(desk: Desk) -> None:
    agent = await desk.agent()
    thread = await desk.thread(agent)
    assert await desk.say(thread, agent, "remember one") == ""
    await desk.managed.threads.update(thread, metadata={"skip_memory_write_protection": True})
    assert await desk.resume(thread, agent, APPROVE)
    assert await desk.say(thread, agent, "remember two")
    await desk.managed.threads.update(thread, metadata={"skip_memory_write_protection": None})
    assert await desk.say(thread, agent, "remember three") == ""


async def test_it_goes_with_its_agent_and_belongs_to_no_other(desk: Desk, app: Starlette) -> None:
    agent, other = await desk.agent(), await desk.agent()
    thread = await desk.thread(agent, skip_memory_write_protection=True)
    await desk.say(thread, agent, "remember I like tea")
    assert "nothing" in await desk.say(await desk.thread(other), other, RECALL)
    db = app.state.server.db
    assert await db.read(_kept) == ["/AGENTS.md"]
    await desk.managed.agents.delete(other)
    assert await db.read(_kept) == ["/AGENTS.md"]
    await desk.managed.agents.delete(agent)
    assert await db.read(_kept) == []


async def test_it_is_no_part_of_a_store_of_the_project(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"store": StoreConfig(path=f"{STORES}:instance"), "default_model": "demo:chat"}
    async with served(tmp_path, **changes) as app, connected(app) as http:
        desk = Desk(http, AsyncClient(api_url="http://waystation", http_client=http), LangGraphClient(http))
        agent = await desk.agent()
        thread = await desk.thread(agent, skip_memory_write_protection=True)
        await desk.say(thread, agent, "remember I like tea")
        assert "I like tea" in await desk.say(await desk.thread(agent), agent, RECALL)
        assert (await desk.sdk.store.search_items(()))["items"] == []


def _kept(conn: Connection) -> list[str]:
    """The keys of all items that the server has."""
    return list(conn.execute(select(store_items.c.key)).scalars())
