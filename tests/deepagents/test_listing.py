"""Lists of agents: pages, orders, filters."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from managed_deepagents import AsyncClient, ManagedDeepAgentsAPIError
from sqlalchemy import Connection, update
from starlette.applications import Starlette

from waystation.storage.tables import deep_agents


@pytest.fixture
async def many(app: Starlette, client: AsyncClient) -> list[str]:
    """45 agents, many of which have the same name and the same times."""
    ids = [(await client.agents.create(name=f"Agent {number % 7}%"))["id"] for number in range(45)]

    def at_the_same_time(conn: Connection) -> None:
        for number, agent_id in enumerate(ids):
            times = {"created_at": 10**15 + number // 10, "updated_at": 10**15 - number // 10}
            conn.execute(update(deep_agents).where(deep_agents.c.agent_id == agent_id).values(times))

    await app.state.server.db.write(at_the_same_time)
    return ids


@pytest.mark.parametrize("sort_by", ["created_at", "updated_at", "name"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
async def test_pages_miss_and_repeat_nothing(
    client: AsyncClient, many: list[str], sort_by: str, sort_order: str
) -> None:
    found: list[dict[str, Any]] = []
    sizes: list[int] = []
    cursor = None
    while not sizes or cursor is not None:
        page = await client.agents.list(page_size=20, sort_by=sort_by, sort_order=sort_order, cursor=cursor)
        found += page["items"]
        sizes.append(len(page["items"]))
        cursor = page["next_cursor"]
    assert sizes == [20, 20, 5]
    assert sorted(each["id"] for each in found) == sorted(many)
    for one, next_ in pairwise(each[sort_by] for each in found):
        assert one <= next_ if sort_order == "asc" else one >= next_


async def test_the_latest_change_comes_first(client: AsyncClient) -> None:
    first, second = [(await client.agents.create(name=name))["id"] for name in ("one", "two")]
    assert [each["id"] for each in (await client.agents.list())["items"]] == [second, first]
    await client.agents.update(first, description="changed")
    page = await client.agents.list()
    assert [each["id"] for each in page["items"]] == [first, second]
    assert page["next_cursor"] is None
    assert not {"revision", "system_prompt", "files"} & page["items"][0].keys()


async def test_names(client: AsyncClient, many: list[str]) -> None:
    for name in ("Straße", "ÉCOLE", "under_score"):
        await client.agents.create(name=name)
    for wanted, count in (
        ("agent 1", 7),
        ("AGENT", 45),
        ("1%", 7),
        ("%%", 0),
        ("école", 1),
        ("STRASSE", 1),
        ("r_s", 1),
    ):
        page = await client.agents.list(name=wanted, page_size=100)
        assert len(page["items"]) == count, wanted
    page = await client.agents.list(name="agent 1", page_size=5)
    rest = await client.agents.list(name="agent 1", page_size=5, cursor=page["next_cursor"])
    assert (len(page["items"]), len(rest["items"]), rest["next_cursor"]) == (5, 2, None)


async def test_a_cursor_belongs_to_its_list(client: AsyncClient, many: list[str]) -> None:
    cursor = (await client.agents.list(page_size=1))["next_cursor"]
    for other in ({"sort_by": "name"}, {"sort_order": "asc"}, {"name": "a"}):
        with pytest.raises(ManagedDeepAgentsAPIError) as refused:
            await client.agents.list(cursor=cursor, **other)
        assert refused.value.status_code == 400
    assert len((await client.agents.list(cursor=cursor, page_size=7))["items"]) == 7
